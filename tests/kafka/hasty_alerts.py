"""A worker that tells people within seconds: ``python hasty_alerts.py worker STAGE``."""

import sys

from streams.alerts import announcer, book
from streams.cli import main
from streams.web import dashboard

if __name__ == "__main__":
    announcer.LOOK_SECONDS = 0.2
    announcer.TAKE_OVER_SECONDS = 1.0
    book.QUIET_MS = 1_000
    dashboard.STEP_SECONDS = 1  # type: ignore[attr-defined]
    sys.exit(main(sys.argv[1:]))
