"""Which Kafka rights each stage and command needs, and which of them this user lacks.

READ and WRITE let a user describe what they are given for, so DESCRIBE stands only where neither
does. Producers are given their ids by any WRITE; nothing needs a right on the cluster.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from streams.core.errors import SettingsError, SetupError
from streams.engine.authorized import Operation, allowed_on_group, allowed_on_topics
from streams.kafka.connection import admin
from streams.kafka.group_ids import group_id
from streams.kafka.groups import topics_read
from streams.kafka.topics import written_topics
from streams.settings import ENRICH, INGEST, Settings

log = logging.getLogger("streams")

READ, WRITE, CREATE = Operation.READ, Operation.WRITE, Operation.CREATE
DESCRIBE, DESCRIBE_CONFIGS = Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS

_IMPLIED = {DESCRIBE: {READ, WRITE, Operation.DELETE, Operation.ALTER}}


@dataclass(frozen=True, slots=True)
class Right:
    """One operation on one topic or consumer group."""

    resource: Literal["topic", "group"]
    name: str
    operation: Operation
    without: str = ""
    """What a stage does not do without it; empty: it does not work at all."""

    @property
    def is_vital(self) -> bool:
        """Whether a stage cannot run without it."""
        return not self.without


class _Names:
    """The topics and groups of one installation, by what they are for."""

    def __init__(
        self, settings: Settings, vendors: Sequence[str], *, with_off: bool = False
    ) -> None:
        """``with_off``: what ingest and sources that are off may have left is looked for, too."""
        topics = settings.topics
        self.settings, self.topics, self.vendors = settings, topics, vendors
        self.raw = topics.raw
        self.off = topics.off if with_off else ()
        self.tables = [topics.users, topics.products]
        self.links = [topics.visitors] if "visitors" in topics.fed else []
        self.shop = list(topics.shop)
        ingest = [topics.ingest_dead_letters] if self.shop or with_off else []
        self.letters = [*ingest, topics.enrich_dead_letters, *map(topics.dead_letters, vendors)]
        self.events = list(map(topics.events, vendors))
        self.redelivery = list(map(topics.redelivery, vendors))
        self.receipts = list(map(topics.receipts, vendors))
        self.stages = [*([INGEST] if self.shop else []), ENRICH, *vendors]
        self.all = [spec.name for spec in topics.specs(tuple(vendors), settings.kafka.partitions)]

    def group(self, stage: str) -> str:
        """The consumer group of a stage."""
        return group_id(self.settings.kafka.topic_prefix, stage)

    def groups(self, operation: Operation = DESCRIBE, without: str = "") -> Iterator[Right]:
        """A right on the group of each stage."""
        return (Right("group", self.group(stage), operation, without) for stage in self.stages)


def _topics(names: Iterable[str], operation: Operation, without: str = "") -> Iterator[Right]:
    return (Right("topic", name, operation, without) for name in names)


def _view(names: _Names, without: str = "") -> Iterator[Right]:
    """What the judgement on the whole pipeline is made of."""
    topics = names.topics
    yield from _topics([topics.status, topics.control], READ, without)
    yield from _topics(names.letters, READ, without)
    for stage in names.stages:
        yield from _topics(topics_read(topics, stage), DESCRIBE, without)
    yield from names.groups(without=without)


def _stage(stage: str, names: _Names) -> Iterator[Right]:
    if stage == INGEST:
        yield from _ingest(names)
    else:
        yield from _enrich(names) if stage == ENRICH else _sink(stage, names)
    written = written_topics(names.topics, stage, names.vendors)
    yield from _topics(written, WRITE)
    yield from _topics(written, DESCRIBE_CONFIGS, _LIMITS)
    yield from _topics([names.topics.control], READ)
    yield from _topics([names.topics.status], WRITE)
    yield Right("group", names.group(stage), READ)
    yield from _view(names, "the dashboard does not show the whole pipeline")


_LIMITS = "batches that are too large for a topic are split until they fit"
_RETENTION = "nothing warns before retention deletes records"


def _ingest(names: _Names) -> Iterator[Right]:
    yield from _topics([*names.shop, *names.topics.of_join], READ)
    yield from _topics(names.shop, DESCRIBE_CONFIGS, _RETENTION)


def _enrich(names: _Names) -> Iterator[Right]:
    topics = names.topics
    yield from _topics([*names.raw, *names.tables], READ)
    yield from _topics(names.raw, DESCRIBE_CONFIGS, _RETENTION)
    for vendor in names.vendors:
        if getattr(names.settings.vendors[vendor], "late_identity_minutes", 0):
            without = "events from before a contact was known are not sent"
            read = [topics.events(vendor), topics.redelivery(vendor), topics.receipts(vendor)]
            yield from _topics([*read, topics.replays], READ, without)
            yield from _topics([topics.redelivery(vendor)], WRITE, without)


def _sink(vendor: str, names: _Names) -> Iterator[Right]:
    topics = names.topics
    read = [topics.events(vendor), topics.redelivery(vendor)]
    yield from _topics([*read, topics.users, topics.receipts(vendor)], READ)
    yield from _topics(read, DESCRIBE_CONFIGS, _RETENTION)
    yield from _topics([topics.control], WRITE, "a replay that is mostly refused is not stopped")


def _shop_records(names: _Names) -> Iterator[Right]:
    """What is read to show what settings make of records."""
    yield from _topics([*names.shop, *names.raw, *names.tables, *names.links], READ)


def _all_records(names: _Names) -> Iterator[Right]:
    """What is read where the books or the story of an event are asked for."""
    read = [*names.shop, *names.raw, *names.off, *names.links, *names.letters]
    read += [*names.events, *names.redelivery, *names.receipts]
    yield from _topics(read, READ)
    yield from names.groups()


def _topics_list(names: _Names) -> Iterator[Right]:
    yield from _topics(names.all, DESCRIBE)
    yield from _topics(names.all, DESCRIBE_CONFIGS)


def _run(names: _Names) -> Iterator[Right]:
    """What a run of redeliveries needs."""
    topics = names.topics
    yield from _all_records(names)
    yield from _topics([*names.tables, topics.status, topics.control, topics.replays], READ)
    yield from _topics([*names.redelivery, topics.control, topics.replays], WRITE)
    if names.shop:
        yield from _topics(map(topics.of_shop, topics.fed), WRITE)


def _rekey(names: _Names) -> Iterator[Right]:
    users = names.topics.users
    yield from _topics([users, *names.raw, *names.events, *names.redelivery], READ)
    yield from _topics([users], WRITE)
    yield from _topics([users], DESCRIBE_CONFIGS)
    yield from names.groups()


def _forget(names: _Names) -> Iterator[Right]:
    topics = names.topics
    yield from _all_records(names)
    yield from _topics([topics.users, topics.status], READ)
    yield from _topics([topics.users, *names.links], WRITE)
    yield from _topics([*names.all, *names.off], DESCRIBE_CONFIGS)


def _control(names: _Names) -> Iterator[Right]:
    yield from _topics([names.topics.control], READ)
    yield from _topics([names.topics.control], WRITE)


def _create(names: _Names) -> Iterator[Right]:
    yield from _topics_list(names)
    yield from _topics(names.all, CREATE)


def _check(names: _Names) -> Iterator[Right]:
    yield from _view(names)
    yield from _topics_list(names)
    yield from _shop_records(names)
    yield from _topics(names.off, DESCRIBE)


def _trace(names: _Names) -> Iterator[Right]:
    yield from _all_records(names)
    yield from _topics(names.tables, READ)


def _drop(names: _Names) -> Iterator[Right]:
    yield from _topics([*names.letters, names.topics.replays], READ)
    yield from _topics(names.letters, WRITE)


def _resend(names: _Names) -> Iterator[Right]:
    yield from _run(names)
    yield from _topics(names.letters, WRITE)


def _offsets_show(names: _Names) -> Iterator[Right]:
    for stage in names.stages:
        yield from _topics(topics_read(names.topics, stage), DESCRIBE)
    yield from names.groups()


def _offsets_reset(names: _Names) -> Iterator[Right]:
    yield from _all_records(names)
    yield from names.groups(READ)


_COMMANDS: Mapping[str, Callable[[_Names], Iterator[Right]]] = {
    "topics create": _create,
    "topics list": _topics_list,
    "topics rekey": _rekey,
    "status": _view,
    "audit": _all_records,
    "trace": _trace,
    "check": _check,
    "diff": _shop_records,
    "pause": _control,
    "resume": _control,
    "forget": _forget,
    "produce": lambda names: _topics([*names.raw, *names.tables], WRITE),
    "dead-letters list": lambda names: _topics(names.letters, READ),
    "dead-letters show": lambda names: _topics(names.letters, READ),
    "dead-letters drop": _drop,
    "dead-letters resend": _resend,
    "replay": _run,
    "offsets show": _offsets_show,
    "offsets reset": _offsets_reset,
}
COMMANDS = tuple(_COMMANDS)
"""The commands that ask brokers; a group's name stands for all of its commands."""


def stage_rights(settings: Settings, stage: str) -> list[Right]:
    """Return what a stage needs, the vital rights first; raises SettingsError for no stage."""
    if stage not in (INGEST, ENRICH) and stage not in settings.vendors:
        known = ", ".join((INGEST, ENRICH, *settings.vendors))
        raise SettingsError([f'--stage: "{stage}" is not a stage; there are: {known}.'])
    vendors = settings.enabled_vendors()
    names = _Names(settings, vendors if stage in (INGEST, ENRICH, *vendors) else (*vendors, stage))
    return _once(_stage(stage, names))


def pipeline_rights(settings: Settings) -> list[Right]:
    """Return what all stages need that are on."""
    return _once(right for stage in settings.stages() for right in stage_rights(settings, stage))


def command_rights(settings: Settings, command: str) -> list[Right]:
    """Return what a command needs to be used for all vendors; raises SettingsError for no command.

    Commands look for the traces of vendors, sources and ingest where they are off, too.
    """
    meant = [made for name, made in _COMMANDS.items() if f"{name} ".startswith(f"{command} ")]
    if not meant:
        known = ", ".join(COMMANDS)
        raise SettingsError([f'--command: "{command}" needs no rights; those that do: {known}.'])
    names = _Names(settings, tuple(settings.vendors), with_off=True)
    return _once(right for made in meant for right in made(names))


def _once(rights: Iterable[Right]) -> list[Right]:
    """Return each right once, vital where it is for anything; what others imply is left out."""
    found: dict[tuple[str, str, Operation], Right] = {}
    for right in rights:
        key = (right.resource, right.name, right.operation)
        if key not in found or right.is_vital:
            found[key] = right
    given = [right for right in found.values() if not _is_implied(right, found)]
    return sorted(given, key=lambda right: not right.is_vital)


def _is_implied(right: Right, given: Mapping[tuple[str, str, Operation], Right]) -> bool:
    implying = _IMPLIED.get(right.operation, set())
    return any((right.resource, right.name, other) in given for other in implying)


async def require_rights(settings: Settings, stage: str) -> None:
    """Return if this user may do what a stage cannot do without; the rest is logged.

    Raises SetupError with a sentence for each right that is lacking.
    """
    lacking = await lacking_rights(settings, stage_rights(settings, stage))
    say = partial(_sentence, settings, stage)
    if vital := [right for right in lacking if right.is_vital]:
        raise SetupError("\n".join(map(say, vital)))
    for right in lacking:
        log.warning(say(right))


async def lacking_rights(settings: Settings, rights: Sequence[Right]) -> list[Right]:
    """Return those of these rights that this user lacks; topics that do not exist are left out.

    Raises SetupError where the brokers do not answer.
    """
    topics = {right.name for right in rights if right.resource == "topic"}
    groups = {right.name for right in rights if right.resource == "group"}
    async with admin(settings.kafka) as client:
        allowed = await allowed_on_topics(client, topics)
        allowed |= {group: await allowed_on_group(client, group) for group in groups}
    # Of a topic that is hidden only that is known: none of the rights that would show it is there.
    shows = {DESCRIBE, *_IMPLIED[DESCRIBE]}
    return [
        right
        for right in rights
        if right.name in allowed
        and right.operation not in allowed[right.name]
        and (allowed[right.name] or right.operation in shows)
    ]


def _sentence(settings: Settings, stage: str, right: Right) -> str:
    user = settings.kafka.sasl_username
    who = "this user" if user is None else f"the user {user}"
    what = f"Kafka does not let {who} {right.operation.name} the {right.resource} {right.name}"
    without = f", so {right.without}" if right.without else ""
    return (
        f"{what}{without}: give it this right; `streams topics acls --stage {stage}` lists all "
        "that this stage needs."
    )
