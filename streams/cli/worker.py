"""``streams worker``: the long-running processes."""

from typing import Annotated

import typer


def worker(
    stages: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STAGE …]", help="enrich or vendors; none named: all that are enabled."
        ),
    ] = None,
    slot: Annotated[
        int | None,
        typer.Option(min=0, max=9, help="Which worker of its stage this is on this machine."),
    ] = None,
) -> None:
    """Run workers until a signal ends them: one process a stage, watched and restarted."""
    from streams.settings import load_settings
    from streams.telemetry import setup_logging

    settings = load_settings()
    wanted = tuple(dict.fromkeys(stages or settings.stages()))
    for stage in wanted:
        settings.require_stage(stage)
    setup_logging(secrets=settings.secrets())
    if len(wanted) == 1:
        from streams.app import run_stage

        raise typer.Exit(run_stage(settings, wanted[0], slot))
    from streams.operations.supervisor import supervise

    raise typer.Exit(supervise(wanted, slot))
