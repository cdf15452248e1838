"""``streams init``: sections for a shop's own topics, proposed from their records."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.terminal import (
    JsonFlag,
    echo,
    load_settings,
    plain_console,
    print_json,
    reading_progress,
)
from streams.core.plain_text import plain
from streams.engine import wall_clock

if TYPE_CHECKING:
    from streams.core.proposal.model import Proposal, SetupQuestion, TopicSample
    from streams.operations.init.samples import RawSample
    from streams.settings import Settings


def init(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="TOPIC…|FILE…", help="Topics, by their names in Kafka, or files of JSON lines."
        ),
    ],
    sample: Annotated[
        int,
        typer.Option(
            "--sample", metavar="N", min=1, help="How many records of each topic are read."
        ),
    ] = 1_000,
    write: Annotated[
        bool, typer.Option("--write", help="Add the sections to the settings file.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Propose [ingest.NAME] sections for your own topics, from their records.

    Reads the newest records of each topic. Recognises GA4, Segment, RudderStack, Snowplow and
    Shopify events and the envelopes of Debezium and Kafka Connect by their structure. In other
    records it finds fields by their names and types, and the product by the keys of the products
    topic. Orders and views of 8SELECT content get sections, too; their sources are then enabled.
    Name the topics of events, users and products in one call, so that their keys can be compared.

    Shows for each field of an event where it is found, how often, and a masked example. Then shows
    what each vendor would get for one event, or why it gets none. Nothing is written to Kafka. On a
    terminal it asks for what the records do not contain. Otherwise it chooses the safest answer and
    prints it.
    """
    from streams.core.proposal.propose import propose
    from streams.operations.init.config_file import settings_path, write_proposal
    from streams.operations.init.preview import outlook
    from streams.operations.init.samples import decode_avro
    from streams.telemetry import setup_logging

    path = settings_path()
    settings = load_settings(None if path.exists() else {**_environment_without_file()})
    setup_logging(stream=sys.stderr, level="ERROR", secrets=settings.secrets())
    raw = asyncio.run(decode_avro(_read(settings, names, sample), settings.registry))
    samples = [one.decoded() for one in raw]
    # What the settings say already is not asked again.
    answers = {"consent": "assumed"} if settings.consent.mode == "assumed" else {}
    proposal = propose(samples, answers)
    if sys.stdin.isatty() and not as_json:
        proposal = _answered(samples, proposal, answers)
    if as_json:
        _write_json(proposal)
    else:
        from streams.cli.init_view import show_outlook, show_proposal

        console = plain_console()
        show_proposal(console, proposal)
        show_outlook(console, outlook(settings, proposal, raw, wall_clock.now_ms()))
    if not proposal.sections:
        raise typer.Exit(1)
    if write:
        write_proposal(path, proposal)
        steps = "streams topics create, then streams worker ingest"
        echo(f"Written to {path}. Next: {steps}.")
    elif not as_json:
        echo(f"Nothing is written; --write adds the sections to {path}.")


def _environment_without_file() -> dict[str, str]:
    from streams.settings.loading import CONFIG, process_environment

    return {name: text for name, text in process_environment().items() if name != CONFIG}


def _read(settings: "Settings", names: Sequence[str], limit: int) -> "list[RawSample]":
    from streams.operations.init.samples import is_file, read_file, read_topics

    files = {name: is_file(name) for name in dict.fromkeys(names)}
    raw = [one for name, there in files.items() if there for one in read_file(Path(name), limit)]
    topics = [name for name, there in files.items() if not there]
    if topics:
        with reading_progress() as tell:
            raw += asyncio.run(read_topics(settings.kafka, topics, limit, tell))
    return raw


def _answered(
    samples: "Sequence[TopicSample]", proposal: "Proposal", answers: dict[str, str]
) -> "Proposal":
    """Ask until nothing is open; an answer can raise another question."""
    from streams.core.proposal.propose import propose

    while question := next((q for q in proposal.questions if q.name not in answers), None):
        answers[question.name] = _asked(question)
        proposal = propose(samples, answers)
    return proposal


def _asked(question: "SetupQuestion") -> str:
    from zoneinfo import ZoneInfo

    while True:
        options = f" ({', '.join(question.options)})" if question.options else ""
        answer = str(typer.prompt(plain(question.text + options), default=question.default))
        if question.options and answer not in question.options:
            typer.echo(f"Answer one of: {', '.join(question.options)}.")
            continue
        if question.name.startswith("timezone:"):
            try:
                ZoneInfo(answer)
            except (LookupError, ValueError, OSError):
                typer.echo("Answer with an IANA name such as Europe/Berlin.")
                continue
        return answer


def _write_json(proposal: "Proposal") -> None:
    from streams.core.proposal.toml import example_of

    rows = [
        {
            "name": section.name,
            "shape": section.shape,
            "records": section.records,
            "events": section.events,
            **section.settings(),
            "found": {
                field: {
                    "share": round(found.share, 4),
                    "example": example_of(field, found, section.to) or None,
                }
                for field, found in section.fields.items()
            },
            "remarks": section.remarks,
        }
        for section in proposal.sections
    ]
    print_json(rows)
    for remark in proposal.remarks:
        echo(remark, err=True)
