"""``streams demo``: the whole pipeline on this machine."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Exit after the table: 0 only if every event is accounted for."
        ),
    ] = False,
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Use these events: JSON lines as for streams produce. Applies [source.…].",
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

    Everything runs locally and nothing needs to be installed. The demo sends real shop sessions,
    then prints a table per vendor that accounts for every event: counted from the topics and
    compared with what the simulators stored. It keeps running until Ctrl-C.

    It ignores your settings, except [source.…] with --events. With --events, invalid records give
    exit code 1.
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
