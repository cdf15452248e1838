"""``streams worker``: the long-running processes."""

from typing import Annotated

import typer

from streams.cli.terminal import load_settings


def worker(
    stages: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STAGE …]", help="ingest, enrich or vendor keys; default: all enabled stages."
        ),
    ] = None,
    slot: Annotated[
        int | None,
        typer.Option(
            min=0, max=9, help="Number of this worker among those of its stage on this machine."
        ),
    ] = None,
    supervised: Annotated[
        bool, typer.Option("--supervised", hidden=True, help="Exit when stdin is closed.")
    ] = False,
    last_exit: Annotated[
        int | None,
        typer.Option("--last-exit", hidden=True, help="Exit code of the previous process."),
    ] = None,
) -> None:
    """Run workers until they are stopped: one process per stage.

    With several stages, a worker that exits is restarted after 1 s, then 2, 4, up to 60 s, but not
    after exit code 2 (invalid settings, two workers with the same slot, recreated topic). A single
    stage is not restarted. On SIGTERM or Ctrl-C each worker waits up to 8 s for the requests in
    flight.
    """
    if supervised:
        from streams.worker.supervisor.parent_watch import end_with_parent

        end_with_parent()
    from streams.telemetry import setup_logging

    settings = load_settings()
    wanted = tuple(dict.fromkeys(stages or settings.stages()))
    for stage in wanted:
        settings.require_stage(stage)
    setup_logging(level=settings.log.level.upper(), secrets=settings.secrets())
    if len(wanted) == 1:
        from streams.app import run_stage

        run_stage(settings, wanted[0], slot, last_exit)
    from streams.worker.supervisor.supervisor import supervise

    raise typer.Exit(supervise(wanted, slot))
