"""``streams worker``: the long-running processes."""

from typing import Annotated

import typer


def worker(
    stages: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STAGE …]", help="enrich or vendor keys; default: all enabled stages."
        ),
    ] = None,
    slot: Annotated[
        int | None,
        typer.Option(
            min=0, max=9, help="Number of this worker among those of its stage on this machine."
        ),
    ] = None,
    supervised: Annotated[
        bool, typer.Option("--supervised", hidden=True, help="End when stdin does.")
    ] = False,
    last_exit: Annotated[
        int | None,
        typer.Option("--last-exit", hidden=True, help="Exit code of the process before."),
    ] = None,
) -> None:
    """Run workers until a signal ends them: one process a stage, watched and restarted.

    A worker that ends is started again after 1 s, then 2, 4, up to 60 s; one that ends with exit
    code 2 (settings, another worker in its place, a recreated topic) is not. SIGTERM and Ctrl-C
    let each settle what answers within 8 s.
    """
    if supervised:
        from streams.worker.supervisor.parent_watch import end_with_parent

        end_with_parent()
    from streams.settings import load_settings
    from streams.telemetry import setup_logging

    settings = load_settings()
    wanted = tuple(dict.fromkeys(stages or settings.stages()))
    for stage in wanted:
        settings.require_stage(stage)
    setup_logging(secrets=settings.secrets())
    if len(wanted) == 1:
        from streams.app import run_stage

        raise typer.Exit(run_stage(settings, wanted[0], slot, last_exit))
    from streams.worker.supervisor.supervisor import supervise

    raise typer.Exit(supervise(wanted, slot))
