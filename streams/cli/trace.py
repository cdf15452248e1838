"""``streams trace``: the answer to "where is my event?", in the terminal."""

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.terminal import JsonFlag, load_settings, moment_ms, print_json
from streams.core.plain_text import plain
from streams.core.quantities import count
from streams.engine import wall_clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from streams.kafka.reader import Tell
    from streams.operations.trace.timeline import Step, Trace, TracedEvent, VendorTrace
    from streams.operations.trace.trace import Kind

STYLES = {
    "accepted": "green",
    "skipped": "dim",
    "off": "dim",
    "dead_lettered": "red",
    "waiting": "yellow",
    "unknown": "magenta",
}


def trace(
    event_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[EVENT_ID]",
            help="Event id, or topic, partition and offset of its raw record: shop.clicks-3-1042.",
            show_default=False,
        ),
    ] = None,
    visitor: Annotated[
        str | None, typer.Option(metavar="A", help="Events of this anonymous_id.")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(metavar="U", help="Events of this user_id, in the event or its user row."),
    ] = None,
    sku: Annotated[
        str | None,
        typer.Option(metavar="S", help="Events with this SKU, in the event or its product row."),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            metavar="T",
            help="Search records written at T or later: 2h ago, 2026-11-20 14:00, …",
        ),
    ] = "1h ago",
    as_json: JsonFlag = False,
) -> None:
    """Show the outcome of an event at each vendor, read from the topics.

    Ids and addresses are masked, except those you type. Exit code 1 if nothing is found. Ctrl-C
    stops the search.
    """
    from streams.operations.trace.trace import run_trace

    kind, text = _asked(event_id, visitor, user, sku)
    since_ms = moment_ms(since)
    settings = load_settings()
    now_ms = wall_clock.now_ms()
    with _progress() as tell:
        found = asyncio.run(
            run_trace(settings, kind, text, now_ms=now_ms, since_ms=since_ms, tell=tell)
        )
    if as_json:
        import msgspec

        print_json([msgspec.to_builtins(found)])
    else:
        from rich.console import Console

        show(Console(highlight=False), found)
    if not found.events:
        raise typer.Exit(1)


def _asked(
    event_id: str | None, visitor: str | None, user: str | None, sku: str | None
) -> "tuple[Kind, str]":
    from streams.core.errors import SettingsError

    given: list[tuple[Kind, str | None]] = [
        ("event", event_id),
        ("visitor", visitor),
        ("user", user),
        ("sku", sku),
    ]
    found = [(kind, text) for kind, text in given if text]
    if len(found) != 1:
        raise SettingsError(
            ["Say what to look for: an event id, or one of --visitor, --user and --sku."]
        )
    return found[0]


@contextmanager
def _progress() -> "Iterator[Tell]":
    """Say on a terminal's stderr what is looked through; elsewhere nothing is said."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _step, _read, _total: None
        return
    with console.status("Connecting …") as status:

        def tell(step: str, read: int, total: int) -> None:
            status.update(f"{escape(plain(step))}: {read:,} of {total:,} records")

        yield tell


def show(console: "Console", found: "Trace") -> None:
    """Print a trace; strangers' text in it is shown, never obeyed."""
    for event in found.events:
        _show_event(console, event, whole=len(found.events) == 1)
        _line(console, "")
    for note in found.notes:
        _line(console, note)
    _line(
        console,
        f"{count(len(found.events), 'event')}, {found.records:,} records read in "
        f"{found.seconds:.1f} s. Times are UTC.",
        style="dim",
    )


def _show_event(console: "Console", event: "TracedEvent", *, whole: bool) -> None:
    title = [event.event_id or "no event id", event.event_type or "", event.happened_at or ""]
    _line(console, "  ".join(filter(None, title)), style="bold")
    _line(console, event.text)
    who = [
        ("visitor", event.visitor),
        ("user", event.user),
        ("product", event.product_id),
        ("sku", event.sku),
    ]
    _line(console, "  ".join(f"{name} {value}" for name, value in who if value), style="dim")
    if whole and event.raw is not None:
        _line(console, f"raw {json.dumps(event.raw, ensure_ascii=False)}", style="dim")
    for step in event.steps:
        _show_step(console, step, whole=whole)
    for vendor in event.vendors:
        _show_vendor(console, vendor, whole=whole)


def _show_vendor(console: "Console", vendor: "VendorTrace", *, whole: bool) -> None:
    style = STYLES.get(vendor.outcome, "")
    _line(console, f"{vendor.name}: {vendor.outcome.replace('_', '-')}", style=f"bold {style}")
    if not whole:
        _line(console, f"  {vendor.text}")
        return
    for step in vendor.steps:
        _show_step(console, step, whole=True)


def _show_step(console: "Console", step: "Step", *, whole: bool) -> None:
    at = step.at[:23].replace("T", " ") if step.at else "now"
    _line(console, f"  {at:<23}  {step.text}")
    if whole:
        beneath = [step.place or "", f"run {step.run_id}" if step.run_id else ""]
        if step.answer:
            beneath.append(f"answer: {step.answer}")
        if step.payload is not None:
            beneath.append(json.dumps(step.payload, ensure_ascii=False))
        for text in filter(None, beneath):
            _line(console, f"  {'':<23}  {text}", style="dim")


def _line(console: "Console", text: str, style: str = "") -> None:
    from rich.text import Text

    console.print(Text(plain(text), style=style), soft_wrap=True)
