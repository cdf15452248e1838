"""``streams status`` and what operators said."""

import json

from streams.cli.status import status_json
from streams.core.control import VendorControl
from streams.core.snapshot import VendorStatus
from tests.status.test_status import NOW, board_of, snapshot

PAUSED = VendorControl(paused=True, at="2026-11-21T10:02:30.000Z", stopped_runs=("r-1",))
RUNNING = VendorStatus("running", NOW)


def test_what_was_said_of_a_vendor_stands_beside_each_of_its_workers() -> None:
    """Null in enrichment; where nobody said anything, the vendor is to run."""
    board = board_of(
        snapshot("enrich-a-0", "enrich"),
        snapshot("miso-a-0", "miso", vendor=RUNNING),
        snapshot("voyado-a-0", "voyado", vendor=RUNNING),
    )
    rows = {
        row["stage"]: row["control"]
        for row in json.loads(status_json(board, NOW, {"miso": PAUSED}))
    }
    assert rows == {
        "enrich": None,
        "miso": {
            "paused": True,
            "at": "2026-11-21T10:02:30.000Z",
            "resumed_at": None,
            "stopped_runs": ["r-1"],
        },
        "voyado": {"paused": False, "at": "", "resumed_at": None, "stopped_runs": []},
    }
