"""docs/reference.md names all that other programs rely on: no more and no less than the code."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
import typer
from pydantic import BaseModel

from streams import __version__
from streams.cli import app
from streams.core.consent import NoConsent
from streams.core.control import VendorControl, decode_control
from streams.core.dead_letter import fingerprint
from streams.core.event_types import AddToCart
from streams.core.events import EventParser
from streams.core.fields import FIELDS
from streams.core.kinds import KINDS, EventKind
from streams.core.outcome import DEAD_LETTER_MEANING, SKIP_MEANING, Outcome
from streams.core.records import DeadLetter, Receipt, VendorRecord
from streams.core.rows import Product, User, decode_product, decode_user
from streams.core.snapshot import VendorState, WorkerSnapshot
from streams.core.topics import Topics
from streams.dead_letters.book import Position, encode_resolution
from streams.metrics import CATALOGUE
from streams.settings import EventSettings, IngestSettings, load_settings, section_models, variable
from streams.settings.loading import is_secret
from streams.vendors import VENDORS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "reference.md").read_text("utf-8")
KAFKA_MS = 1_795_166_127_311
NOW = KAFKA_MS + 86_400_000


def section(title: str, *, level: int = 2) -> str:
    """What stands under a heading, up to the next of its level or above."""
    pattern = rf"^#{{{level}}} {re.escape(title)}\n(.*?)(?=^#{{2,{level}}} |\Z)"
    found = re.findall(pattern, PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, title
    return str(found[0])


def rows(text: str) -> list[list[str]]:
    """The cells of each row of its tables, without the heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    below = [*lines[1:], ""]
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line, next_line in zip(lines, below, strict=True)
        if "| ---" not in (line[:5], next_line[:5])
    ]


def codes(cell: str) -> list[str]:
    """What stands in code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def json_blocks(text: str) -> list[Any]:
    """The JSON examples of a text, decoded."""
    blocks = re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [json.loads(block) for block in blocks]


def examples(title: str) -> list[Any]:
    """The JSON examples of a section, decoded."""
    return json_blocks(section(title))


def first_column(text: str, head: str) -> list[str]:
    """The names in code in the first column of the table with this head."""
    (table,) = re.findall(rf"^\| {head} \|.*?(?=\n\n)", text, re.MULTILINE | re.DOTALL)
    return [name for row in rows(table) for name in codes(row[0])]


# -- topics


def test_every_topic_has_a_row_and_every_row_a_topic() -> None:
    """The vendors' under one name, with how long it is kept and its partitions."""
    expected = {}
    topics = Topics(shop=("web-events",), fed=("visitors",), sources=tuple(KINDS))
    for spec in topics.specs(tuple(VENDORS), 6):
        name = re.sub(rf"^vendor\.({'|'.join(VENDORS)})\.", "vendor.<v>.", spec.name)
        days = int(spec.config.get("retention.ms", 0)) // 86_400_000
        kept = {"delete": f"{days} days", "compact": "compacted"}.get(
            spec.cleanup, f"compacted, {days} days"
        )
        expected[f"`{name}`"] = (kept, {6: "N", 1: "1", None: "any"}[spec.partitions])
    shown = {row[0]: (row[3], row[4]) for row in rows(section("Topics"))}
    assert shown == expected


# -- record formats


def test_the_raw_event_is_read_and_has_every_field() -> None:
    """As an add-to-cart, which has all of them; nothing about it is corrected."""
    example, *_ = examples("Raw events")
    key = example["anonymous_id"].encode()
    value = json.dumps(example).encode()
    parser = EventParser("add_to_cart", "shop.add-to-carts", vendors=VENDORS)
    assert parser.parse(key, value, 3, 1042, KAFKA_MS).notes == ()
    by_parser = {"timestamp_ms", "notes"}
    assert set(example) == set(AddToCart.__struct_fields__) - by_parser
    fields = section("Raw events").partition("\n### ")[0]
    assert set(first_column(fields, "field")) >= set(example)


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.is_optional])
def test_the_event_of_a_source_is_read_and_has_every_field_of_its_own(kind: EventKind) -> None:
    """Its table names them, too; nothing about the example is corrected."""
    title = "Named events" if kind.source == "events" else kind.source.replace("-", " ")
    text = section(title.capitalize(), level=4)
    (example,) = json_blocks(text)
    parser = EventParser(kind.event_type, kind.topic, vendors=VENDORS)
    event = parser.parse(example["anonymous_id"].encode(), json.dumps(example).encode(), 3, 7, NOW)
    assert event.notes == ()
    own = set(kind.fields) - set(FIELDS)
    assert set(first_column(text, "field")) == own
    assert set(example) >= own


def test_the_rows_are_read_and_have_every_field() -> None:
    """Nothing about them is corrected."""
    user, product = examples("Rows")
    assert decode_user(json.dumps(user).encode(), VENDORS).notes == ()
    assert decode_product(json.dumps(product).encode()).notes == ()
    for kind, example, head in (
        (User, user, "field of a user row"),
        (Product, product, "field of a product row"),
    ):
        names = set(kind.__struct_fields__) - {"yes_from_ms", "notes"}
        assert set(example) == names
        assert set(first_column(section("Rows"), head)) == names


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Vendor records", VendorRecord),
        ("Receipts", Receipt),
        ("Dead letters", DeadLetter),
        ("Worker status", WorkerSnapshot),
    ],
)
def test_every_field_of_a_record_has_a_row(title: str, kind: type[msgspec.Struct]) -> None:
    """And every row a field; the examples are records of that kind with no other field."""
    fields = set(kind.__struct_fields__)
    assert set(first_column(section(title), "field")) == fields
    for example in examples(title)[:1]:
        msgspec.convert(example, kind)
        assert set(example) <= fields


def test_what_belongs_together_in_the_examples_does() -> None:
    """One event all the way; the letter's fingerprint is made of its cause."""
    event, *_ = examples("Raw events")
    (record,), (receipt,) = map(examples, ("Vendor records", "Receipts"))
    letter, resolution = examples("Dead letters")
    assert {event["event_id"]} == {r["event_id"] for r in (record, receipt, letter)}
    assert letter["fingerprint"] == fingerprint(letter["reason"], None, letter["detail"])
    assert letter["record_bytes"] == len(letter["record"])
    place = Position("vendor.miso.dead-letters", 3, 88)
    written = encode_resolution(place, resolution["action"], resolution["at"], resolution["run_id"])
    assert resolution == json.loads(written)
    assert "`resolves` is `topic-partition-offset` of the letter" in section("Dead letters")


def test_the_readme_shows_one_event_and_its_receipt() -> None:
    """Both are what the code reads and writes, and they belong together."""
    event, receipt = json_blocks((ROOT / "README.md").read_text("utf-8"))
    parser = EventParser("click", "shop.clicks", vendors=VENDORS)
    value = json.dumps(event).encode()
    read = parser.parse(event["anonymous_id"].encode(), value, 3, 220, KAFKA_MS + 10**9)
    assert read.notes == ()
    assert msgspec.convert(receipt, Receipt).event_id == read.event_id


def test_the_words_in_a_receipt_are_those_of_the_code() -> None:
    """Outcomes, and which ``no_consent`` it is."""
    cells = {row[0]: row[1] for row in rows(section("Receipts"))}
    assert set(codes(cells["`outcome`"])) == set(Outcome)
    assert set(codes(cells["`detail`"])) - {"no_consent"} == set(NoConsent)


def test_the_operator_commands_are_read() -> None:
    """With every field that they have."""
    (example,) = examples("Operator commands")
    assert decode_control(json.dumps(example).encode()).paused
    assert set(example) == set(VendorControl.__struct_fields__)


# -- reasons


def test_every_reason_has_a_row_in_the_order_of_the_closed_list() -> None:
    """With its outcome."""
    assert [(row[0].strip("`"), row[1]) for row in rows(section("Reasons"))] == [
        *((str(reason), "skipped") for reason in SKIP_MEANING),
        *((str(reason), "dead-lettered") for reason in DEAD_LETTER_MEANING),
    ]


# -- settings


SECTIONS: dict[str, type[BaseModel]] = {
    **section_models(),
    "ingest.NAME": IngestSettings,
    "events.NAME": EventSettings,
}


@pytest.mark.parametrize("name", SECTIONS)
def test_every_setting_has_a_row(name: str) -> None:
    """With its variable, its default, and whether it is secret."""
    model = SECTIONS[name]
    shown = rows(section(f"Section `[{name}]`", level=3))
    assert [(row[0], row[1], row[2], row[3].endswith("; secret")) for row in shown] == [
        (f"`{f}`", f"`{variable(name, f)}`", default_shown(model, f), is_secret(model, f))
        for f in model.model_fields
    ]


def default_shown(model: Any, name: str) -> str:
    """A default as the page has it."""
    if model.model_fields[name].is_required():
        return "required"
    value = model.model_fields[name].get_default(call_default_factory=True)
    if value in (None, "", {}):
        return "none"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text.replace(__version__, 'VERSION')}`"


# -- commands


class Command(NamedTuple):
    """A command as people type it."""

    name: str
    command: Any


def commands(group: Any, above: str = "streams") -> Iterator[Command]:
    """Every command, and every group that does something by itself."""
    for name, command in group.commands.items():
        called = f"{above} {name}"
        is_group = hasattr(command, "commands")
        if not is_group or command.params:
            yield Command(called, command)
        if is_group:
            yield from commands(command, called)


COMMANDS = list(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("one", COMMANDS, ids=[one.name for one in COMMANDS])
def test_every_argument_and_option_has_a_row(one: Command) -> None:
    """With its default, and the words of ``--help``; an option that takes a value shows one."""
    shown = rows(section(one.name, level=3))
    params = [p for p in one.command.params if not getattr(p, "hidden", False)]
    assert [typed(row[0]) for row in shown] == [name_of(p) for p in params]
    for row, param in zip(shown, params, strict=True):
        takes_value = name_of(param).startswith("--") and not param.is_flag
        assert (" " in row[0].strip("`")) >= takes_value, row
        assert row[1] == default_of(param), row
        assert row[2].replace("\\", "") == " ".join(param.help.split()), row


@pytest.mark.parametrize("one", COMMANDS, ids=[one.name for one in COMMANDS])
def test_the_words_about_a_command_are_those_of_its_help(one: Command) -> None:
    """So the page and ``--help`` cannot differ; marks such as backquotes do not count."""
    words = section(one.name, level=3).partition("\n| argument")[0]
    assert without_marks(words) == without_marks(one.command.help)


def without_marks(text: str) -> str:
    """A text on one line, without what Markdown adds."""
    return " ".join(re.sub(r"[`*\\]", "", text).split())


def typed(cell: str) -> str:
    """An option without its value, or a whole argument."""
    text = cell.strip("`").replace("\\", "")
    return text.split()[0] if text.startswith("--") else text


def name_of(param: Any) -> str:
    """An option's name, or an argument's place-holder."""
    return str(param.opts[0] if param.opts[0].startswith("--") else param.metavar)


def default_of(param: Any) -> str:
    """A default as the page has it; that of a flag is to be off."""
    if param.required:
        return "required"
    is_flag = getattr(param, "is_flag", False)
    return "" if is_flag or param.default is None else f"`{param.default}`"


def test_no_command_is_shown_that_is_not_there() -> None:
    """In the same order as ``streams --help``."""
    shown = re.findall(r"^### (streams .+)$", section("Commands"), re.MULTILINE)
    assert shown == [one.name for one in COMMANDS]


# -- web and metrics


def test_the_ports_are_those_of_the_workers() -> None:
    """Offsets of each stage from the first port."""
    settings = load_settings({})
    text = section("Ports and paths")
    (first,) = re.findall(r"`web\.port` \((\d+)\)", text)
    offsets = re.findall(r"\+ (\d+) for `(\w+)`", text)
    assert [(stage, int(first) + int(n)) for n, stage in offsets] == [
        (stage, settings.web_port(stage)) for stage in ("enrich", *VENDORS, "ingest")
    ]
    (by_slot,) = re.findall(r"\+ (\d+) for each slot", text)
    assert settings.web_port("enrich", 1) == int(first) + int(by_slot)


def test_every_metric_has_a_row_as_the_catalogue_has_it() -> None:
    """Name, kind, labels and words, in the same order."""
    shown = [(*row[:3], row[3].replace("\\", "")) for row in rows(section("Metrics"))]
    assert shown == [
        (f"`{m.name}`", m.kind, ", ".join(f"`{label}`" for label in m.labels), m.help)
        for m in CATALOGUE.values()
    ]


def test_the_states_of_a_vendor_are_those_of_the_code() -> None:
    """Among the words."""
    meanings = {row[0]: row[1] for row in rows(section("Words"))}
    assert set(codes(meanings["circuit breaker"])) == set(get_args(VendorState))


def test_the_words_stand_in_alphabetical_order() -> None:
    """Each once."""
    words = [row[0] for row in rows(section("Words"))]
    assert words == sorted(set(words), key=str.lower)
