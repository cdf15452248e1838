"""``streams demo``: the whole pipeline on this machine."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End when the books are closed: 0 only if they balance.")
    ] = False,
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Events in place of the sample's: JSON lines, as streams produce takes them.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="P", min=1, max=65_442, help="The first of the workers' web ports (6066)."
        ),
    ] = None,
) -> None:
    """Run the whole pipeline on this machine: a real Kafka, the vendors' stand-ins, all workers.

    Nothing leaves this machine, nothing has to be installed, and no settings are read. Real shop
    sessions go through; then a table for each vendor accounts for every event, summed from the
    topics and held against what the stand-ins stored. It stays up to be tried until Ctrl-C.
    """
    import sys

    from streams.cli.demo_view import DemoView
    from streams.demo.run import Options, run_demo
    from streams.settings.loading import process_environment
    from streams.telemetry import setup_logging

    setup_logging(stream=sys.stderr, level="ERROR")
    view = DemoView()
    with view:
        code = run_demo(Options(once, events, port), view, process_environment())
    raise typer.Exit(code)
