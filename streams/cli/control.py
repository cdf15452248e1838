"""``streams pause`` and ``streams resume``: for all workers of a vendor, whenever they start."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.terminal import quiet_settings

if TYPE_CHECKING:
    from streams.core.control import VendorControl

Vendor = Annotated[str, typer.Argument(metavar="VENDOR", help="eightselect, voyado or miso.")]


def pause(vendor: Vendor) -> None:
    """Stop sending to a vendor. Requests in flight finish; events wait.

    Applies to all its workers, including those started later, until `streams resume`. Events wait
    on their topic as long as its retention allows. Pausing twice has no effect.
    """
    control = _set(vendor, paused=True)
    name = _name(vendor)
    if not control.paused:
        typer.echo(f"{name} was resumed by another operator at {control.at}.", err=True)
        raise typer.Exit(1)
    typer.echo(
        f"{name} is paused since {control.at}. No request is started; events wait on their topic "
        f"for as long as its retention. Resume with: streams resume {vendor}"
    )


def resume(vendor: Vendor) -> None:
    """Resume sending to a vendor.

    This also resumes a vendor that is parked because it refused most events: one event is sent
    first, and all others follow if the vendor accepts it. Resuming a running vendor has no effect.
    """
    control = _set(vendor, paused=False)
    name = _name(vendor)
    if control.paused:
        typer.echo(f"{name} was paused by another operator at {control.at}.", err=True)
        raise typer.Exit(1)
    typer.echo(f"{name} is resumed: waiting events are sent. Watch it with: streams status")


def _set(vendor: str, *, paused: bool) -> "VendorControl":
    from streams.worker.control import set_paused

    return asyncio.run(set_paused(quiet_settings(), vendor, paused))


def _name(vendor: str) -> str:
    from streams.vendors import VENDORS

    return VENDORS[vendor].name
