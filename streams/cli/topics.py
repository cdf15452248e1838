"""``streams topics``: make and list the topics, say which rights are needed, rekey."""

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.terminal import JsonFlag, load_settings, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streams.kafka.topics import Service, TopicReport
    from streams.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Create and list the topics that streams needs.")


class Whose(StrEnum):
    """Whose topics are meant."""

    ALL = "all"
    ON = "on"


class TopicsAs(StrEnum):
    """How topics are written without a broker."""

    JSON = "json"
    STRIMZI = "strimzi"
    COMMANDS = "kafka-topics"


class RightsAs(StrEnum):
    """How rights are written."""

    TABLE = "table"
    JSON = "json"
    STRIMZI = "strimzi"
    COMMANDS = "kafka-acls"


VendorsOption = Annotated[
    Whose, typer.Option("--vendors", help="Topics of all vendors, or of those that are on.")
]
ServiceOption = Annotated[
    str,
    typer.Option(
        "--for",
        metavar="kafka|confluent",
        help="Service that runs your Kafka: topics get only settings that it accepts.",
    ),
]


def _days(help_text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(min=1, max=36_500, help=help_text)
    return option


@app.command("create")
def create(
    raw_days: Annotated[
        int | None, _days("Days to keep raw events and vendor records (new topics: 7).")
    ] = None,
    receipt_days: Annotated[int | None, _days("Days to keep receipts (new topics: 14).")] = None,
    dead_letter_days: Annotated[
        int | None, _days("Days to keep dead letters (new topics: 30).")
    ] = None,
    whose: VendorsOption = Whose.ALL,
    service: ServiceOption = "kafka",
    as_json: JsonFlag = False,
) -> None:
    """Create the topics that are missing. Safe to run again.

    If an existing topic has a different partition count or cleanup policy, it is reported, nothing
    is created or changed, and the exit code is 1.
    """
    from streams.kafka.topics import TopicState, create_topics

    settings = load_settings()
    reports = asyncio.run(
        create_topics(
            settings,
            vendors=_vendors(settings, whose),
            service=_service(service),
            raw_days=raw_days,
            receipt_days=receipt_days,
            dead_letter_days=dead_letter_days,
        )
    )
    _show(reports, as_json)
    differing = [report for report in reports if report.state is TopicState.DIFFERS]
    if not differing:
        return
    for report in differing:
        for difference in report.differences:
            typer.echo(f"Topic {report.topic} {difference}.", err=True)
    typer.echo(
        "Nothing was changed. Change these topics with Kafka's own tools, or correct the setting "
        "STREAMS_KAFKA_PARTITIONS, then run `streams topics create` again.",
        err=True,
    )
    raise typer.Exit(1)


@app.command("rekey")
def rekey(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only; write nothing.")] = False,
    wait: Annotated[
        float,
        typer.Option(min=0, help="Seconds to wait for events on old partitions to settle."),
    ] = 30.0,
    now: Annotated[
        bool,
        typer.Option(
            "--now",
            help="Do not wait. Events on old partitions then lose their row and its consent.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Move user rows to the partitions of their visitors' events after partitions were added.

    Copies each row to the partition that its key belongs on, unless a newer row is there, and
    removes it from the old partition. No visitor is forgotten by this. Safe to run again. Exit code
    1: rows are left because events on their old partitions are not settled yet.
    """
    from streams.operations.rekey import run_rekey

    done = asyncio.run(
        run_rekey(load_settings(), wait_seconds=wait, remove_now=now, dry_run=dry_run)
    )
    if as_json:
        from dataclasses import asdict

        print_json(asdict(done))
    elif dry_run:
        typer.echo(
            f"{done.rows:,} rows; {done.copied:,} to be written, {done.left:,} to be removed "
            "from their old partitions. Nothing was changed."
        )
    else:
        typer.echo(
            f"{done.rows:,} rows; {done.copied:,} written, {done.removed:,} removed from their "
            "old partitions."
        )
    if done.waiting:
        typer.echo(
            f"{done.left:,} rows also stay on their old partitions, where events need them: "
            f"{'; '.join(done.waiting)}. Run it again when these are settled.",
            err=True,
        )
        raise typer.Exit(1)


@app.command("list")
def list_(
    whose: VendorsOption = Whose.ALL,
    service: ServiceOption = "kafka",
    form: Annotated[
        TopicsAs | None,
        typer.Option("--as", help="Write the topics in this format; no broker is asked."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the topics of streams, their purpose, and whether their configuration is correct.

    With --as, no broker is asked: the topics are written for Strimzi, as kafka-topics.sh commands
    or as JSON, with three replicas unless STREAMS_KAFKA_REPLICATION_FACTOR says otherwise.
    """
    from streams.kafka.topics import list_topics, wanted_topics

    settings = load_settings()
    vendors = _vendors(settings, whose)
    if form is None:
        _show(asyncio.run(list_topics(settings, vendors)), as_json)
        return
    from streams.operations import manifests

    wanted = wanted_topics(settings, 3, vendors=vendors, service=_service(service))
    match form:
        case TopicsAs.JSON:
            print_json(manifests.topics_as_json(wanted))
        case TopicsAs.STRIMZI:
            _write(manifests.topics_as_strimzi(wanted))
        case TopicsAs.COMMANDS:
            _write(manifests.topics_as_commands(wanted, settings.kafka.bootstrap_servers))


@app.command("acls")
def acls(
    stage: Annotated[
        str | None, typer.Option(metavar="STAGE", help="The rights of one stage's workers.")
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help='The rights of a command, such as "topics create".'),
    ] = None,
    form: Annotated[
        RightsAs, typer.Option("--as", help="The format of the output.")
    ] = RightsAs.TABLE,
    user: Annotated[
        str | None,
        typer.Option(
            help="Kafka user who gets them; default: STREAMS_KAFKA_SASL_USERNAME, or streams."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show which Kafka rights are needed, by one stage, by one command, or by all stages.

    No broker is asked. Some rights are optional: the table says what does not work without them.
    """
    from streams.core.errors import SettingsError
    from streams.operations import manifests
    from streams.operations.rights import command_rights, pipeline_rights, stage_rights

    settings = load_settings()
    if stage is not None and command is not None:
        raise SettingsError(["--stage and --command exclude each other."])
    if stage is not None:
        rights = stage_rights(settings, stage)
    elif command is not None:
        rights = command_rights(settings, command)
    else:
        rights = pipeline_rights(settings)
    name = user or settings.kafka.sasl_username or "streams"
    match RightsAs.JSON if as_json else form:
        case RightsAs.TABLE:
            _write(manifests.rights_as_table(rights))
        case RightsAs.JSON:
            print_json(manifests.rights_as_json(rights))
        case RightsAs.STRIMZI:
            _write(manifests.rights_as_strimzi(rights, name))
        case RightsAs.COMMANDS:
            servers = settings.kafka.bootstrap_servers
            _write(manifests.rights_as_commands(rights, servers, f"User:{name}"))


def _vendors(settings: "Settings", whose: Whose) -> "Sequence[str]":
    return settings.enabled_vendors() if whose is Whose.ON else tuple(settings.vendors)


def _service(name: str) -> "Service":
    from streams.core.errors import SettingsError
    from streams.kafka.topics import Service

    if name not in set(Service):
        raise SettingsError([f"--for: there is no {name}; name one of {', '.join(Service)}."])
    return Service(name)


def _write(lines: "Iterable[str]") -> None:
    for line in lines:
        typer.echo(line)


def _show(reports: "Sequence[TopicReport]", as_json: bool) -> None:
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(reports))
        return
    width = max(len(report.topic) for report in reports)
    for report in reports:
        facts = ""
        if report.partitions is not None:
            policy = report.config["cleanup.policy"]
            facts = f"{report.partitions:>4} partitions  x{report.replication}  {policy}"
        words = "; ".join(report.differences)
        typer.echo(f"{report.topic:<{width}}  {report.state:<8}{facts}  {words}".rstrip())
