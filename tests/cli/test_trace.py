"""``streams trace`` in the terminal: what is typed, what is shown, and what strangers cannot do."""

from io import StringIO

import pytest
from rich.console import Console

from streams.cli import main
from streams.cli.trace import show
from streams.operations.trace.timeline import Step, Trace, TracedEvent, VendorTrace

HOSTILE = "\x1b[2J[red]boo[/red]\u202e\r\n"


def traced(*events: TracedEvent, more: bool = False) -> Trace:
    """Return an answer with these events."""
    return Trace(
        asked={"event": "e1"},
        since="2026-05-01T08:00:00.000Z",
        until="2026-05-01T09:00:00.000Z",
        events=list(events),
        more=more,
        notes=["There are more."] if more else [],
        records=3_600_000,
        seconds=1.24,
    )


def event(title: str = "Red shoe") -> TracedEvent:
    """Return an accepted event."""
    return TracedEvent(
        event_id="e1",
        source="shop.clicks/2/100",
        written_at="2026-05-01T08:30:00.000Z",
        event_type="click",
        happened_at="2026-05-01T08:29:59.000Z",
        visitor="#o6kr",
        product_id="p1",
        text="Accepted by Miso.",
        raw={"page": {"title": title}},
        steps=[
            Step(
                kind="raw",
                text="Written by the shop to shop.clicks.",
                at="2026-05-01T08:30:00.000Z",
                place="shop.clicks/2/100",
            )
        ],
        vendors=[
            VendorTrace(
                vendor="miso",
                name="Miso",
                outcome="accepted",
                text="Accepted by Miso (HTTP 200, 1 request).",
                steps=[
                    Step(
                        kind="accepted",
                        text="Accepted by Miso (HTTP 200, 1 request).",
                        at="2026-05-01T08:30:00.300Z",
                        place="vendor.miso.receipts/2/3",
                        answer=title,
                        payload={"title": title},
                    )
                ],
            )
        ],
    )


def shown(trace: Trace) -> str:
    """Return what stands in the terminal."""
    console = Console(width=200, file=StringIO(), highlight=False)
    show(console, trace)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_one_event_is_shown_with_every_step() -> None:
    """Whole lines, in the order in which it happened."""
    assert shown(traced(event())).splitlines() == [
        "e1  click  2026-05-01T08:29:59.000Z",
        "Accepted by Miso.",
        "visitor #o6kr  product p1",
        'raw {"page": {"title": "Red shoe"}}',
        "  2026-05-01 08:30:00.000  Written by the shop to shop.clicks.",
        "                           shop.clicks/2/100",
        "Miso: accepted",
        "  2026-05-01 08:30:00.300  Accepted by Miso (HTTP 200, 1 request).",
        "                           vendor.miso.receipts/2/3",
        "                           answer: Red shoe",
        '                           {"title": "Red shoe"}',
        "",
        "1 event, 3,600,000 records read in 1.2 s. Times are UTC.",
    ]


def test_of_many_events_each_vendor_is_one_line() -> None:
    """Payloads and places are left to the search for the one."""
    lines = shown(traced(event(), event(), more=True)).splitlines()
    assert lines.count("  Accepted by Miso (HTTP 200, 1 request).") == 2
    assert "There are more." in lines
    assert not [line for line in lines if "payload" in line or "receipts" in line]


def test_what_strangers_wrote_is_shown_and_not_obeyed() -> None:
    """No escape sequence, no direction mark, no line break; markup as it stands."""
    out = shown(traced(event(HOSTILE)))
    assert "[red]boo[/red]" in out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\r" not in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Say what to look for: an event id, or one of --visitor, --user and --sku."),
        (["e1", "--sku", "S"], "Say what to look for"),
        (["\udcff"], "The search text is not valid UTF-8"),
        (["e1", "--since", "soon"], '--since: "soon" is not a time'),
    ],
)
def test_wrong_use_is_a_sentence_and_exit_code_2(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No broker is asked."""
    assert main(["trace", *words]) == 2
    assert sentence in capsys.readouterr().err
