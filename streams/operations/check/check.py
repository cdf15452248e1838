"""``streams check``: everything that must be right before events flow, looked at and explained.

Nothing is written, made or stored: not on the broker, and not at a vendor but on demand.
"""

from collections.abc import AsyncIterator, Collection

from streams.core.errors import SettingsError, SetupError
from streams.core.ingest.decoding import RegistryAway
from streams.kafka.connection import admin
from streams.kafka.groups import read_groups
from streams.kafka.reader import connect
from streams.kafka.topics import (
    TopicState,
    existing_topics,
    list_topics,
    shop_configs,
    verify_topics,
)
from streams.operations.check.store_test import store_test
from streams.operations.check.topics import off_findings, shop_findings, topic_findings
from streams.operations.check.vendors import OpenClient, check_vendors, open_client
from streams.registry.client import Registry
from streams.settings import ENRICH, Settings, variable
from streams.status.findings import Finding, Level, ok, problem
from streams.status.judge import judge
from streams.status.observe import known_of, with_open_letters
from streams.status.status import StatusBoard, read_status
from streams.worker.control import read_controls

SETTINGS = "settings"


async def run_checks(
    settings: Settings,
    *,
    send_test: bool = False,
    store_test_contact: str | None = None,
    now_ms: int,
    open_client: OpenClient = open_client,
) -> AsyncIterator[Finding]:
    """Yield what is found, in order: settings, broker, topics, workers, registry, each vendor.

    ``send_test`` lets each vendor judge test events by its own documented means, where it has one.
    ``store_test_contact``: Voyado stores, shows and deletes an interaction of this contact.
    """
    for finding in check_settings(settings):
        yield finding
    async for finding in check_kafka(settings):
        yield finding
    async for finding in check_registry(settings):
        yield finding
    for finding in await check_vendors(
        settings, send_test=send_test, now_ms=now_ms, open_client=open_client
    ):
        yield finding
    if store_test_contact is not None:
        async for finding in store_test(settings, store_test_contact, now_ms):
            yield finding


def check_settings(settings: Settings) -> list[Finding]:
    """Return whether workers could start with these settings; pure.

    What one value or two say wrongly is found earlier: ``load_settings`` refuses it.
    """
    try:
        settings.require_stage(ENRICH)
    except SettingsError as error:
        ways = [line.rpartition(": set ")[2].rstrip(".") for line in error.problems]
        remedy = f"Set {', or '.join(ways)}."
        return [problem(SETTINGS, "No vendor is on, so no worker starts.", remedy)]
    findings = []
    for key in settings.enabled_vendors():
        try:
            settings.plan_for(key)
        except SettingsError as error:
            findings += [
                problem(
                    SETTINGS,
                    f"Stage {ENRICH} cannot start: {line}",
                    f"Set it, or {variable(key, 'enabled')}=false.",
                )
                for line in error.problems
            ]
    stages = ", ".join(settings.stages())
    return findings or [ok(SETTINGS, f"The settings fit together; stages: {stages}.")]


async def check_kafka(settings: Settings) -> AsyncIterator[Finding]:
    """Yield what is found of the broker, the topics and the groups; the first failure ends it."""
    subject = "broker"
    where = settings.kafka.bootstrap_servers
    try:
        async with admin(settings.kafka) as client:
            brokers = len((await client.describe_cluster())["brokers"])
        yield ok(subject, f"Kafka at {where} answers, {brokers} broker{'s'[: brokers != 1]}.")
        subject = "topics"
        vendors = settings.enabled_vendors()
        reports = await list_topics(settings)
        there = [r.topic for r in reports if r.state is not TopicState.MISSING]
        specs = settings.topics.specs(vendors, settings.kafka.partitions)
        needed = {spec.name for spec in specs}
        misfits = await verify_topics(settings, [name for name in there if name in needed])
        for finding in topic_findings(
            reports,
            misfits,
            settings.topics,
            vendors,
            partitions=settings.kafka.partitions,
            brokers=brokers,
            shop=list(shop_findings(settings, await shop_configs(settings))),
        ):
            yield finding
        for finding in off_findings(await existing_topics(settings, settings.topics.off)):
            yield finding
        subject = "workers"
        for finding in await pipeline_findings(settings, there):
            yield finding
    except SetupError as error:
        text, colon, remedy = str(error).partition("): ")
        if colon:
            yield problem(subject, f"{text}).", f"{remedy[:1].upper()}{remedy[1:]}")
        else:
            yield problem(subject, text)


async def check_registry(settings: Settings) -> AsyncIterator[Finding]:
    """Yield whether the schema registry answers, where a section needs it."""
    if all(section.format != "confluent-avro" for section in settings.ingest.values()):
        return
    registry = Registry(settings.registry)
    try:
        # Whether it has this schema or not, a registry that lets this user in says so.
        await registry.load(1)
    except RegistryAway as away:
        yield problem("registry", str(away), "Until it answers, records of its topics wait.")
    else:
        yield ok("registry", f"The schema registry at {registry.url} answers.")


async def pipeline_findings(settings: Settings, topics: Collection[str]) -> list[Finding]:
    """Return the judgement on the running pipeline, as page and ``status`` show it.

    ``topics``: those that exist.
    """
    names = settings.topics
    board = await read_status(settings) if names.status in topics else StatusBoard()
    async with connect(settings.kafka) as reader:
        controls = await read_controls(reader, settings) if names.control in topics else {}
        known = known_of(settings, board, await read_groups(reader, settings), controls)
    return judge(await with_open_letters(settings, known))


def exit_code(findings: list[Finding]) -> int:
    """Return 0 without a problem, 2 with one of the settings, else 1.

    What is wrong with a running pipeline is shown and does not count: a check runs before workers
    start, too, and then none is running.
    """
    problems = {f.subject for f in findings if f.level is Level.PROBLEM and not f.kind}
    return 2 if SETTINGS in problems else int(bool(problems))
