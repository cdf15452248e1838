"""``streams dead-letters``: what is shown of strangers' text, and what is refused before Kafka."""

import json
from collections.abc import Sequence

import pytest

from streams.cli import main
from streams.cli.dead_letters import group_lines, letter_lines
from streams.core.dead_letter import build_dead_letter, encode_dead_letter
from streams.core.records import Origin
from streams.core.topics import Topics
from streams.dead_letters.book import Group, Letter, LetterBook, words_of

AT_MS = 1_777_622_400_000
HOSTILE = "\x1b[2J[bold red]<b>\u202eevil\u2028\x07\r\nmiso  rejected  aaaaaaaa  0 open"


def planted(record: bytes = b"{}", detail: str = "product_ids is invalid.") -> tuple[Letter, bytes]:
    """A letter as a sink writes it, and what it is read as."""
    return _planted(record, detail)[:2]


def _planted(record: bytes, detail: str) -> tuple[Letter, bytes, Group]:
    value = encode_dead_letter(
        build_dead_letter(
            stage="deliver",
            vendor="miso",
            reason="rejected",
            detail=detail,
            status=422,
            answer="422 product_ids is invalid.",
            attempts=2,
            at="2026-05-01T08:00:00.000Z",
            event_id="e-1",
            source=Origin("shop.clicks", 1, 7, 1),
            record=record,
        )
    )
    book = LetterBook("miso", "vendor.miso.dead-letters", Topics())
    book.add(1, 4, AT_MS, value)
    return next(iter(book)), value, book.groups()[0]


def test_a_group_is_five_lines_of_plain_words() -> None:
    """Whose, why, how many; since when; an example; the fix."""
    letter, value, one = _planted(b"{}", "product_ids is invalid.")
    fix = words_of(letter, value).fix(letter)
    assert group_lines(one) == [
        f"miso  rejected  {letter.cause.fingerprint}  1 open",
        "  seen     2026-05-01T08:00:00.000Z to 2026-05-01T08:00:00.000Z",
        "  example  e-1: product_ids is invalid.",
        f"  fix      {fix}",
    ]
    assert fix.startswith("The id is not in Miso's catalogue")


def test_a_letter_is_shown_whole() -> None:
    """With the vendor's words and the record as it is."""
    record = b'{"event_id": "e-1", "payload": {"sku": "8S-1042"}}'
    letter, value = planted(record)
    lines = letter_lines(letter, value)
    assert lines == [
        "vendor.miso.dead-letters-1-4",
        "  vendor       miso",
        "  reason       rejected",
        f"  fingerprint  {letter.cause.fingerprint}",
        "  event id     e-1",
        "  source       shop.clicks/1/7",
        "  given up     at 2026-05-01T08:00:00.000Z, stage deliver, attempts 2",
        "  status       422",
        "  detail       product_ids is invalid.",
        "  answer       422 product_ids is invalid.",
        f"  fix          {words_of(letter, value).fix(letter)}",
        "  record, 50 bytes:",
        '    {"event_id": "e-1", "payload": {"sku": "8S-1042"}}',
    ]


def test_a_record_that_is_no_text_is_shown_in_base64() -> None:
    """As the letter keeps it."""
    assert letter_lines(*planted(b"\xff\x00"))[-2:] == ["  record in base64, 2 bytes:", "    /wA="]


def test_a_record_that_was_cut_is_said_to_be() -> None:
    """With the size that it has."""
    letter, value = planted(b"\x1b" * 400_000)
    assert letter_lines(letter, value)[-2] == "  record, 400,000 bytes, cut:"


def test_hostile_text_is_shown_and_never_obeyed() -> None:
    """Control characters are spelled out, so that no line, colour or direction is a stranger's."""
    letter, value, one = _planted(HOSTILE.encode(), HOSTILE)
    for lines in (group_lines(one), letter_lines(letter, value)):
        assert all(line.isprintable() for line in lines)
        assert any(
            r"\x1b[2J[bold red]<b>\x202eevil\x2028\x07\x0d\x0amiso" in line for line in lines
        )


def test_a_letter_of_a_stranger_is_shown_with_what_it_has() -> None:
    """Members of other types than ours end nothing."""
    value = json.dumps(
        {
            "stage": "deliver",
            "reason": "rejected",
            "fingerprint": "f" * 8,
            "source": {"topic": "shop.clicks", "partition": 0, "offset": 1},
            "attempts": ["many"],
            "record": 7,
            "record_bytes": "few",
        }
    ).encode()
    book = LetterBook("miso", "vendor.miso.dead-letters", Topics())
    book.add(0, 0, AT_MS, value)
    lines = letter_lines(next(iter(book)), value)
    assert lines[-2:] == ["  record:", "    7"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["drop"], "give --yes to drop"),
        (["drop", "--fingerprint", "k7m2pq9x"], "give --yes to drop"),
        (["list", "--vendor", "mis\x1bo"], r"--vendor: there is no mis\x1bo; name one of enrich,"),
        (["show", "--since", "soon"], '--since: "soon" is not a time'),
        (["show", "--limit", "0"], "--limit"),
        (["resend"], "give --yes to send, or --preview"),
    ],
)
def test_wrong_use_is_exit_2_before_anything_is_read(
    arguments: Sequence[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a broker; nothing asks where there is no terminal."""
    assert main(["dead-letters", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
