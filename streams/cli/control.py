"""``streams pause`` and ``streams resume``: for all workers of a vendor, whenever they start."""

import asyncio
from typing import Annotated

import typer

from streams.cli.terminal import quiet_settings

Vendor = Annotated[str, typer.Argument(metavar="VENDOR", help="eightselect, voyado or miso.")]


def pause(vendor: Vendor) -> None:
    """Stop sending to a vendor. Requests in flight finish; events wait.

    Applies to all its workers, including those started later, until `streams resume`. Events wait
    on their topic as long as its retention allows. Pausing twice has no effect.
    """
    name, at = _set(vendor, paused=True)
    typer.echo(
        f"{name} is paused since {at}. No request is started; events wait on their topic "
        f"for as long as its retention. Resume with: streams resume {vendor}"
    )


def resume(vendor: Vendor) -> None:
    """Resume sending to a vendor.

    This also resumes a vendor that is parked because it refused most events: one event is sent
    first, and all others follow if the vendor accepts it. Resuming a running vendor has no effect.
    """
    name, _ = _set(vendor, paused=False)
    typer.echo(f"{name} is resumed: waiting events are sent. Watch it with: streams status")


def _set(vendor: str, *, paused: bool) -> tuple[str, str | None]:
    """Return the vendor's name and since when; exit code 1 where another operator disagrees."""
    from streams.vendors import VENDORS
    from streams.worker.control import set_paused

    control = asyncio.run(set_paused(quiet_settings(), vendor, paused))
    name = VENDORS[vendor].name
    if control.paused != paused:
        now = "paused" if control.paused else "resumed"
        typer.echo(f"{name} was {now} by another operator at {control.at}.", err=True)
        raise typer.Exit(1)
    return name, control.at
