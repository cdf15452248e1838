"""``streams check``: what must be right before events flow, and what a mapping makes of them."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.terminal import (
    LEVEL_STYLES,
    JsonFlag,
    echo,
    file_or_stdin,
    lines_of,
    plain_console,
    print_json,
    quiet_settings,
    reading_progress,
)
from streams.cli.voyado_interactions import require_contacts
from streams.core.plain_text import plain
from streams.engine import wall_clock

if TYPE_CHECKING:
    from rich.console import Console

    from streams.settings import Settings
    from streams.status.findings import Finding


TOPIC = "topic:"
DEFAULT_SAMPLE = 1_000


def check(
    send_test: Annotated[
        bool,
        typer.Option(
            "--send-test",
            help="Send test events to each vendor's own validation endpoint; nothing is stored.",
        ),
    ] = False,
    store_test: Annotated[
        str | None,
        typer.Option(
            "--store-test",
            metavar="voyado",
            help="Store one marked interaction at Voyado, read it and delete it; needs --contact.",
        ),
    ] = None,
    contact: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="With --store-test: Voyado's id of a contact that is yours."
        ),
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|topic:NAME",
            help="Show what each vendor would receive for these JSON lines (- reads stdin) or for "
            "the newest records of a topic.",
        ),
    ] = None,
    own_topic: Annotated[
        str | None,
        typer.Option(
            "--topic",
            metavar="NAME",
            help="With a FILE: its lines are values of your own topic NAME, which a section "
            "[ingest.…] reads.",
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=100_000,
            help="How many records of topic:NAME are read; default: 1,000.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check settings, broker, topics, workers and each vendor.

    Vendors store nothing, except with --store-test. Each line is ok, a warning or a problem, and
    says what to do. Exit code 1 if there is a problem, 2 if it is in the settings.

    Voyado documents no check that stores nothing. With --store-test voyado --contact ID, Voyado
    stores one marked interaction of this contact; the command reads it and deletes it. Automations
    for new interactions run for it.

    With --mapping, no vendor is contacted. Each event is shown as each vendor would receive it, or
    with the reason why a vendor would not; a repeated event or order is a duplicate. What a
    vendor's sink decides later (contacts, thinning) is not included. FILE contains JSON lines as
    for `streams produce`; rows of users and products apply to the events after them. A line
    {"topic": …, "key": …, "value": …} of your own topic is mapped by its section [ingest.NAME]; if
    the lines are values only, name the topic with --topic. Exit code 1 if a line cannot be read.

    With --mapping topic:NAME the newest records of a topic are mapped, with the current users and
    products: your own topic, or clicks, add-to-carts, users or products. The output counts how many
    records have each field, and how often a field fails.
    """
    from streams.core.errors import SettingsError

    if mapping is not None and (send_test or store_test):
        raise SettingsError(["--mapping excludes --send-test and --store-test."])
    _check_store_test(store_test, contact)
    topic = None if mapping is None or not mapping.startswith(TOPIC) else mapping[len(TOPIC) :]
    if sample is not None and topic is None:
        raise SettingsError(["--sample: goes with --mapping topic:NAME."])
    if own_topic is not None and (mapping is None or topic is not None):
        raise SettingsError(["--topic: goes with --mapping FILE."])
    settings = quiet_settings()
    if mapping is None:
        code = _look(settings, send_test, contact, as_json)
    elif topic is None:
        file = file_or_stdin(Path(mapping))
        assert file is not None
        code = _preview(settings, file, own_topic, as_json)
    else:
        code = _preview_topic(settings, topic, sample or DEFAULT_SAMPLE, as_json)
    if code:
        raise typer.Exit(code)


def _check_store_test(store_test: str | None, contact: str | None) -> None:
    from streams.core.errors import SettingsError

    if store_test is None and contact is None:
        return
    if store_test != "voyado":
        raise SettingsError(
            ["--store-test: takes voyado alone, with --contact ID; the others have --send-test."]
        )
    require_contacts([contact or ""])


def _look(settings: "Settings", send_test: bool, contact: str | None, as_json: bool) -> int:
    from streams.operations.check.check import exit_code, run_checks

    findings: list[Finding] = []
    console = plain_console()

    async def all_of_them() -> None:
        async for finding in run_checks(
            settings,
            send_test=send_test,
            store_test_contact=contact,
            now_ms=wall_clock.now_ms(),
        ):
            findings.append(finding)
            if not as_json:
                _show(console, finding)

    asyncio.run(all_of_them())
    if as_json:
        print_json([finding.to_json() for finding in findings])
    return exit_code(findings)


def _show(console: "Console", finding: "Finding") -> None:
    from rich.text import Text

    line = Text()
    line.append(f"{finding.level:<7}", LEVEL_STYLES[finding.level])
    line.append(f"  {finding.subject:<11}  ")
    line.append(plain(f"{finding.text} {finding.remedy}".rstrip()))
    console.print(line)


def _preview(settings: "Settings", file: Path, own_topic: str | None, as_json: bool) -> int:
    from streams.operations.check.mapping_preview import (
        UNREADABLE,
        MappingPreview,
        previewed_vendors,
    )

    vendors = previewed_vendors(settings)
    preview = MappingPreview(settings, vendors.plans, wall_clock.now_ms(), own_topic)
    rows = (
        row
        for number, line in enumerate(lines_of(file), start=1)
        if line.strip()
        for row in preview.preview_line(number, line)
    )
    if as_json:
        for remark in vendors.remarks:
            echo(remark, err=True)
        return _write_json(rows, UNREADABLE)
    from streams.cli.check_view import fields_table, show_preview

    console = plain_console()
    outcomes = show_preview(console, rows, [plan.vendor for plan in vendors.plans])
    if preview.events:
        console.print()
        titles = {topic: settings.topics.without_prefix(topic) for topic in preview.events}
        console.print(fields_table(preview.events, preview.fields, titles))
    remarks = [f"{preview.rows_taken:,} rows of users and products taken.", *vendors.remarks]
    is_unreadable = UNREADABLE in outcomes
    if settings.ingest and own_topic is None and (preview.events or is_unreadable):
        remarks.append(
            "Lines without a topic are events of shop.clicks or shop.add-to-carts. If they are "
            "values of a topic of your own, name it with --topic."
        )
    for remark in remarks:
        echo(remark)
    return int(is_unreadable)


def _preview_topic(settings: "Settings", name: str, sample: int, as_json: bool) -> int:
    from streams.operations.check.mapping_preview import UNREADABLE, previewed_vendors
    from streams.operations.check.topic_preview import preview_topic

    vendors = previewed_vendors(settings)
    with reading_progress() as tell:
        found = asyncio.run(
            preview_topic(settings, vendors, name, sample, now_ms=wall_clock.now_ms(), tell=tell)
        )
    if as_json:
        for remark in vendors.remarks:
            echo(remark, err=True)
        return _write_json(found.rows, UNREADABLE)
    from streams.cli.check_view import show_topic_preview

    show_topic_preview(plain_console(), found, [plan.vendor for plan in vendors.plans])
    for remark in vendors.remarks:
        echo(remark)
    return 0


def _write_json(rows: Iterable[object], unreadable: str) -> int:
    """Write the array as it grows; a file may be long."""
    import msgspec

    code, separator = 0, "[\n"
    for row in rows:
        code |= getattr(row, "outcome", "") == unreadable
        typer.echo(f"{separator}{msgspec.json.encode(row).decode()}", nl=False)
        separator = ",\n"
    typer.echo("[]" if separator == "[\n" else "\n]")
    return int(code)
