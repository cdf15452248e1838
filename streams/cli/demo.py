"""``streams demo``: the whole pipeline on this machine."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Exit after the table; exit code 1 if an event is not accounted for."
        ),
    ] = False,
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Send these events instead: JSON lines as for `streams produce`.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="P", min=1, max=65_442, help="First web port of the workers (default 6066)."
        ),
    ] = None,
) -> None:
    """Run the whole pipeline on this machine: a real Kafka, vendor simulators, all workers.

    Everything runs on this machine. The demo sends real shop sessions, then prints a table that
    accounts for every event at each vendor: counted from the topics and compared with what the
    simulators stored. It keeps running until Ctrl-C.

    The demo ignores your settings. With --events it uses your sections [source.…], and the exit
    code is 1 if a record is invalid.
    """
    import sys

    from streams.cli.demo_view import DemoView
    from streams.lab.demo.run import Options, run_demo
    from streams.settings.loading import process_environment
    from streams.telemetry import setup_logging

    setup_logging(stream=sys.stderr, level="ERROR")
    view = DemoView()
    with view:
        code = run_demo(Options(once, events, port), view, process_environment())
    raise typer.Exit(code)
