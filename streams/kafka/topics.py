"""Make, compare and verify the topics of an installation.

docs/reference.md lists all of them. Faust adds none: its leader topic is switched off, and its
tables read ``shop.users`` and ``shop.products`` themselves as their changelogs.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    InvalidReplicationFactorError,
    KafkaError,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from streams.core.errors import SetupError
from streams.core.topics import DAY_MS, Topics, TopicSpec
from streams.engine.authorized import hidden_topics, hidden_words
from streams.kafka.connection import admin
from streams.settings import ENRICH, INGEST, Settings
from streams.vendors import VENDORS

VISIBLE_SECONDS = 10
"""How long a topic that the controller made may take to be seen by clients."""

COMPARED = (
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    "delete.retention.ms",
    "max.message.bytes",
)
SHOWN_NAMES = 3
"""So many topics of a kind are named, or all if there is only one more."""


class Service(StrEnum):
    """Whose limits new topics keep."""

    KAFKA = "kafka"
    CONFLUENT = "confluent"
    """Confluent Cloud: three copies, no ``compression.type``, segments of at least 50 MB."""


CONFLUENT_COPIES = 3
CONFLUENT_SEGMENT_BYTES = 52_428_800


class UnequalTopics(SetupError):
    """Topics do not fit together: starting again helps nobody before somebody has changed them."""

    exit_code = 2


class TopicState(StrEnum):
    """What is true of one of our topics."""

    CREATED = "created"
    PRESENT = "present"
    MISSING = "missing"
    DIFFERS = "differs"
    HIDDEN = "hidden"
    """This user may not describe it; whether it exists is not known."""


@dataclass(frozen=True, slots=True)
class TopicReport:
    """One topic as it is on the broker, held against what it must be."""

    topic: str
    state: TopicState
    differences: tuple[str, ...] = ()
    """What is other than it must be, one clause each: "has 3 partitions, not 6"."""
    partitions: int | None = None
    """None where the topic is missing, as for the two below."""
    replication: int | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    """The values of ``COMPARED``."""


@dataclass(frozen=True, slots=True)
class _Found:
    partitions: int
    replication: int


async def create_topics(
    settings: Settings,
    *,
    vendors: Sequence[str] = tuple(VENDORS),
    service: Service = Service.KAFKA,
    raw_days: int | None = None,
    receipt_days: int | None = None,
    dead_letter_days: int | None = None,
) -> list[TopicReport]:
    """Make the topics that are missing; return what is true of each, in the reference's order.

    ``vendors``: whose topics are made; ``service``: whose limits new topics keep. Where one topic
    differs, nothing is made or changed at all. A retention that is not given is
    the default for new topics and not compared on existing ones.

    Raises:
        SetupError: the broker cannot be reached, or refuses to make a topic.
    """
    given = {"raw_days": raw_days, "receipt_days": receipt_days}
    given["dead_letter_days"] = dead_letter_days
    wanted = {name: days for name, days in given.items() if days is not None}
    expected = _specs(settings, vendors, {name: days or 0 for name, days in given.items()})
    async with admin(settings.kafka) as client:
        before = await _compare(client, expected)
        missing = {report.topic for report in before if report.state is TopicState.MISSING}
        hidden = [report.topic for report in before if report.state is TopicState.HIDDEN]
        if hidden:
            raise SetupError("\n".join(map(hidden_words, hidden)))
        if not missing or any(report.state is TopicState.DIFFERS for report in before):
            return before
        brokers = len((await client.describe_cluster())["brokers"])
        new = wanted_topics(settings, brokers, vendors=vendors, service=service, **wanted)
        made = await _make(client, [one for one in new if one.name in missing], brokers)
        after = await _compare(client, expected)
    return [
        replace(report, state=TopicState.CREATED)
        if report.topic in made and report.state is TopicState.PRESENT
        else report
        for report in after
    ]


async def list_topics(
    settings: Settings, vendors: Sequence[str] = tuple(VENDORS)
) -> list[TopicReport]:
    """What is true of each topic, in the reference's order; nothing is changed."""
    any_days = {"raw_days": 0, "receipt_days": 0, "dead_letter_days": 0}
    async with admin(settings.kafka) as client:
        return await _compare(client, _specs(settings, vendors, any_days))


@dataclass(frozen=True, slots=True)
class WantedTopic:
    """A topic as it is to be made."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


def wanted_topics(
    settings: Settings,
    brokers: int,
    *,
    vendors: Sequence[str] = tuple(VENDORS),
    service: Service = Service.KAFKA,
    **days: int,
) -> list[WantedTopic]:
    """Return how each topic is to be made on so many brokers, in the reference's order; pure."""
    replication = settings.kafka.replication_factor or min(3, brokers)
    if service is Service.CONFLUENT:
        replication = CONFLUENT_COPIES
    made = []
    for spec in _specs(settings, vendors, days):
        config = dict(spec.config)
        if service is Service.CONFLUENT:
            config.pop("compression.type", None)
            if "segment.bytes" in config:
                least = max(int(config["segment.bytes"]), CONFLUENT_SEGMENT_BYTES)
                config["segment.bytes"] = str(least)
        if replication == 3:
            config["min.insync.replicas"] = "2"
        partitions = spec.partitions or settings.kafka.partitions
        made.append(WantedTopic(spec.name, partitions, replication, config))
    return made


async def shop_configs(settings: Settings) -> dict[str, dict[str, str]]:
    """Return the settings of the shop's own topics that exist, as of ``COMPARED``."""
    names = settings.topics.shop
    if not names:
        return {}
    async with admin(settings.kafka) as client:
        found = await _found(client)
        return await _configs(client, [name for name in names if name in found])


async def verify_topics(settings: Settings, names: Iterable[str]) -> list[str]:
    """What keeps a worker from using these topics, one sentence each; empty if nothing does.

    Raises:
        SetupError: the broker cannot be reached.
    """
    names = list(names)
    async with admin(settings.kafka) as client:
        found = await _found(client)
        hidden = await hidden_topics(client, set(names) - found.keys())
    return topic_problems(settings, _partition_counts(found), names, hidden)


async def existing_topics(settings: Settings, names: Iterable[str]) -> list[str]:
    """Return those of these topics that exist; raises SetupError without a broker."""
    async with admin(settings.kafka) as client:
        found = await _found(client)
    return [name for name in names if name in found]


async def required_topics(settings: Settings, names: Sequence[str]) -> dict[str, int]:
    """How many partitions these topics have, all of which are as a worker needs them.

    Topics of the shop that do not exist are left out, as long as one of them does.

    Raises:
        SetupError: the broker cannot be reached, or a topic is missing.
        UnequalTopics: what else ``topic_problems`` says of these topics.
    """
    async with admin(settings.kafka) as client:
        found = await _found(client)
        hidden = await hidden_topics(client, set(names) - found.keys())
    shop = [name for name in names if name in settings.topics.shop]
    absent = [name for name in shop if name not in found and name not in hidden]
    if len(absent) < len(shop):
        names = [name for name in names if name not in absent]
    problems = topic_problems(settings, _partition_counts(found), names, hidden)
    if problems:
        missing = [name for name in names if name not in found]
        raise (SetupError if missing else UnequalTopics)("\n".join(problems))
    return {name: found[name].partitions for name in names}


async def max_message_bytes(settings: Settings, names: Sequence[str]) -> dict[str, int]:
    """Return how large a batch each of these topics takes.

    Raises:
        SetupError: the broker cannot be reached, or this user may not read the topics' settings.
    """
    async with admin(settings.kafka) as client:
        configs = await _configs(client, names)
    return {name: int(config["max.message.bytes"]) for name, config in configs.items()}


def needed_topics(topics: Topics, stage: str, vendors: Sequence[str]) -> list[str]:
    """Return the topics without which a stage must not start."""
    names = [*read_topics(topics, stage), *written_topics(topics, stage, vendors)]
    return list(dict.fromkeys([*names, topics.status, topics.control]))


def written_topics(topics: Topics, stage: str, vendors: Sequence[str]) -> list[str]:
    """Return the topics to which a stage writes what becomes of records."""
    if stage == INGEST:
        return [topics.ingest_dead_letters, *map(topics.of_shop, topics.fed)]
    if stage != ENRICH:
        return [topics.receipts(stage), topics.dead_letters(stage)]
    of_vendor = [topics.events, topics.receipts, topics.dead_letters]
    return [topics.enrich_dead_letters, *(name(v) for v in vendors for name in of_vendor)]


def read_topics(topics: Topics, stage: str) -> tuple[str, ...]:
    """Return the topics that a stage is assigned partitions of."""
    if stage == INGEST:
        return *topics.shop, *topics.of_join
    if stage == ENRICH:
        return *topics.raw, topics.users, topics.products
    return topics.events(stage), topics.redelivery(stage), topics.users, topics.control


def topic_problems(
    settings: Settings,
    partitions: Mapping[str, int],
    names: Iterable[str],
    hidden: Collection[str] = (),
) -> list[str]:
    """Return what keeps these topics from being used, one sentence each, the remedy behind ": ".

    ``partitions``: how many each topic of the cluster has; ``hidden``: those that may not be
    described. How many they must have is not asked of
    the settings: what counts is that one visitor's records meet.
    """
    topics = settings.topics
    kept = {
        topics.status: "the status of the workers",
        topics.control: "which vendors are paused",
        topics.replays: "the list of replays",
    }
    problems = []
    names = list(names)
    for name in names:
        if name in hidden:
            problems.append(hidden_words(name))
        elif name not in partitions and name in topics.shop:
            problems.append(absent_words(settings, name))
        elif name not in partitions:
            problems.append(f"Topic {name} does not exist: run `streams topics create`.")
        elif name in kept and partitions[name] != 1:
            problems.append(
                f"Topic {name}, which holds {kept[name]} and no events, has "
                f"{_partitions(partitions[name])} and must have 1: Kafka cannot remove "
                "partitions, so ask the cluster's administrator to create this topic again with 1."
            )
    if _counts(settings, partitions, names) > 1:
        problems.append(_unequal(settings, partitions, names))
    return problems


def absent_words(settings: Settings, topic: str) -> str:
    """Return what is to be said of a topic of the shop that does not exist, in one sentence."""
    names = [f"[ingest.{name}]" for name, one in settings.ingest.items() if one.topic == topic]
    verb = "reads" if len(names) == 1 else "read"
    return (
        f"Topic {topic} does not exist, which {_listed(names)} {verb}: correct its name there or "
        "make it with Kafka's own tools; streams makes only its own topics."
    )


def _equal(settings: Settings, partitions: Mapping[str, int], names: Iterable[str]) -> list[str]:
    """Return those of these topics that exist and must have as many partitions as each other."""
    topics = settings.topics
    single = (
        topics.status, topics.control, topics.replays, topics.products, topics.visitors,
    )  # fmt: skip
    ours = {spec.name for spec in _specs(settings, tuple(VENDORS), {})} - set(single)
    return [name for name in names if name in ours and name in partitions]


def _counts(settings: Settings, partitions: Mapping[str, int], names: Iterable[str]) -> int:
    return len({partitions[name] for name in _equal(settings, partitions, names)})


def _unequal(settings: Settings, partitions: Mapping[str, int], names: Iterable[str]) -> str:
    by_count: dict[int, list[str]] = {}
    for name in _equal(settings, partitions, names):
        by_count.setdefault(partitions[name], []).append(name)
    most = max(by_count)
    groups = [
        f"{_listed(by_count[count])} {'has' if len(by_count[count]) == 1 else 'have'} {count}"
        for count in sorted(by_count, reverse=True)
    ]
    vendors = settings.enabled_vendors()
    works = [
        stage
        for stage in (*((INGEST,) if settings.ingest else ()), ENRICH, *vendors)
        if _counts(settings, partitions, needed_topics(settings.topics, stage, vendors)) == 1
    ]
    still = "no stage works"
    if works:
        still = f"{_listed(works)} still work{'s'[: len(works) == 1]}, the rest waits"
    return (
        f"Topics on which a visitor's records must meet have different numbers of partitions "
        f"({'; '.join(groups)}), so {still}, and nothing is lost: add partitions "
        f"to those with fewer (kafka-topics --alter --topic NAME --partitions {most}), start again "
        "and run `streams topics rekey`; docs/operations.md explains it under More partitions."
    )


def _listed(names: Sequence[str]) -> str:
    """Return names as people list them, the first few of many."""
    if len(names) > SHOWN_NAMES + 1:
        return f"{', '.join(names[:SHOWN_NAMES])} and {len(names) - SHOWN_NAMES} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _specs(settings: Settings, vendors: Sequence[str], days: Mapping[str, int]) -> list[TopicSpec]:
    return settings.topics.specs(vendors, settings.kafka.partitions, **days)


async def _found(client: AIOKafkaAdminClient) -> dict[str, _Found]:
    """All topics of the cluster; asking for one by name could make the broker create it."""
    found = {}
    for topic in await client.describe_topics():
        if topic["error_code"] == 0:
            partitions = topic["partitions"]
            found[topic["topic"]] = _Found(len(partitions), len(partitions[0]["replicas"]))
    return found


def _partition_counts(found: Mapping[str, _Found]) -> dict[str, int]:
    return {name: topic.partitions for name, topic in found.items()}


async def cleanup_policies(
    client: AIOKafkaAdminClient, names: Iterable[str]
) -> dict[str, str | None]:
    """Return the clean-up policy of those of these topics that are there.

    None: this user may not read the configuration.
    """
    found = await _found(client)
    policies: dict[str, str | None] = {}
    for name in names:
        if name in found:
            try:
                policies[name] = (await _configs(client, [name]))[name]["cleanup.policy"]
            except KafkaError:
                policies[name] = None
    return policies


async def topic_config(settings: Settings, topic: str, name: str) -> str:
    """Return a topic's value of a configuration; raises SetupError if the brokers do not say."""
    async with admin(settings.kafka) as client:
        return (await _configs(client, [topic], [name]))[topic][name]


async def _configs(
    client: AIOKafkaAdminClient, names: Sequence[str], wanted: Iterable[str] = COMPARED
) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    wanted = dict.fromkeys(wanted, "")
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, wanted) for name in names]
    configs = {}
    for response in await client.describe_configs(resources):
        for error_code, message, _, name, entries in response.resources:
            if error_code:
                raise for_code(error_code)(f"{name}: {message}")
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs


async def _compare(client: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> list[TopicReport]:
    found = await _found(client)
    hidden = await hidden_topics(client, {spec.name for spec in specs} - found.keys())
    configs = await _configs(client, [spec.name for spec in specs if spec.name in found])
    reports = []
    for spec in specs:
        topic = found.get(spec.name)
        if topic is None:
            state = TopicState.HIDDEN if spec.name in hidden else TopicState.MISSING
            words = (hidden_words(spec.name),) if spec.name in hidden else ()
            reports.append(TopicReport(spec.name, state, words))
            continue
        config = configs[spec.name]
        differences = tuple(_differences(spec, topic, config))
        state = TopicState.DIFFERS if differences else TopicState.PRESENT
        reports.append(
            TopicReport(spec.name, state, differences, topic.partitions, topic.replication, config)
        )
    return reports


def _differences(spec: TopicSpec, topic: _Found, config: Mapping[str, str]) -> Iterable[str]:
    if spec.partitions is not None and topic.partitions != spec.partitions:
        yield f"has {_partitions(topic.partitions)}, not {spec.partitions}"
    if config["cleanup.policy"] != spec.cleanup:
        yield f"has cleanup.policy {config['cleanup.policy']}, not {spec.cleanup}"
        return
    wanted = spec.config.get("retention.ms", "0")
    if wanted != "0" and config["retention.ms"] != wanted:
        yield f"has retention.ms {_days(config['retention.ms'])}, not {_days(wanted)}"
    tombstones = spec.config.get("delete.retention.ms", "0")
    if int(config["delete.retention.ms"]) < int(tombstones):
        kept = config["delete.retention.ms"]
        yield f"has delete.retention.ms {_days(kept)}, less than {_days(tombstones)}"


def _partitions(count: int) -> str:
    return f"{count} partition" if count == 1 else f"{count} partitions"


def _days(milliseconds: str) -> str:
    whole, rest = divmod(int(milliseconds), DAY_MS)
    return f"{milliseconds} ms" if rest or whole < 0 else f"{whole} d"


async def _make(
    client: AIOKafkaAdminClient, topics: Sequence[WantedTopic], brokers: int
) -> set[str]:
    """Make these topics; return the names of those that nobody else made meanwhile."""
    wanted = [
        NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=dict(topic.config))
        for topic in topics
    ]
    response = await client.create_topics(wanted)
    made = set()
    for name, code, message, *_ in response.topic_errors:
        error = for_code(code)
        if code == 0:
            made.add(name)
            continue
        if error is TopicAlreadyExistsError:
            continue
        remedy = "look for the reason in the broker's log or ask who administers it"
        if error is InvalidReplicationFactorError:
            remedy = (
                f"the cluster has {brokers} broker{'s'[: brokers > 1]}; "
                "lower STREAMS_KAFKA_REPLICATION_FACTOR"
            )
        raise SetupError(f"Topic {name} was not created ({message or error.__name__}): {remedy}.")
    await until_visible(client, {topic.name for topic in topics})
    return made


async def make_missing(
    client: AIOKafkaAdminClient, names: Iterable[str], settings: Settings
) -> None:
    """Make those of these topics that are not there; raises SetupError where that is refused."""
    there = await _found(client)
    brokers = len((await client.describe_cluster())["brokers"])
    copies = settings.kafka.replication_factor or min(3, brokers)
    partitions = settings.kafka.partitions
    missing = [WantedTopic(name, partitions, copies, {}) for name in names if name not in there]
    if missing:
        await _make(client, missing, brokers)


async def _shown_by(client: AIOKafkaAdminClient, node: int) -> set[str]:
    answer = await client._send_request(MetadataRequest(), node)
    return {t["topic"] for t in answer.to_object()["topics"] if not t["error_code"]}


async def until_visible(client: AIOKafkaAdminClient, names: set[str]) -> None:
    """Return once every broker shows these topics; the controller makes them a little earlier.

    Raises:
        SetupError: one is still not there after ``VISIBLE_SECONDS``.
    """
    try:
        async with asyncio.timeout(VISIBLE_SECONDS):
            for broker in (await client.describe_cluster())["brokers"]:
                while not names <= await _shown_by(client, broker["node_id"]):  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise SetupError(
            f"The topics were created, but are not visible after {VISIBLE_SECONDS} s: check the "
            "state of the cluster, then run `streams topics list`."
        ) from error
