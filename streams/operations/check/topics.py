"""Whether the topics are as the relay needs them: there, with equal partitions, kept long enough.

Pure: ``operations.topics`` asks the broker.
"""

from collections.abc import Iterator, Mapping, Sequence

from streams.core.topics import DAY_MS, Topics
from streams.engine.limits import DEFAULT_MESSAGE_BYTES
from streams.kafka.topics import TopicReport, TopicState
from streams.settings import Settings
from streams.status.findings import Finding, ok, problem, warning

SUBJECT = "topics"
_SHOWN = 4
_CREATE = "Run `streams topics create`."


def topic_findings(
    reports: Sequence[TopicReport],
    misfits: Sequence[str],
    topics: Topics,
    vendors: Sequence[str],
    *,
    partitions: int,
    brokers: int,
    shop: Sequence[Finding] = (),
) -> list[Finding]:
    """Return what is to be said of the topics of these vendors and of all that they share.

    ``misfits`` are the sentences of ``verify_topics`` about topics that exist, ``partitions`` is
    the setting, ``brokers`` how many there are, ``shop`` what is found of the shop's own topics.
    """
    specs = {spec.name: spec for spec in topics.specs(vendors, partitions)}
    reports = [report for report in reports if report.topic in specs]
    missing = [report.topic for report in reports if report.state is TopicState.MISSING]
    there = {report.topic: report for report in reports if report.state is not TopicState.MISSING}
    findings = []
    if missing:
        findings.append(problem(SUBJECT, f"{_named(missing)} missing.", _CREATE))
    for misfit in misfits:
        text, _, remedy = misfit.partition(": ")
        findings.append(problem(SUBJECT, f"{text}.", f"{remedy[:1].upper()}{remedy[1:]}"))
    for name, report in there.items():
        wanted = specs[name].cleanup
        has = report.config["cleanup.policy"]
        if has != wanted:
            findings.append(
                problem(
                    SUBJECT,
                    f"Topic {name} has cleanup.policy {has}, not {wanted}.",
                    f"Set it with Kafka's own tools: kafka-configs --alter --topic {name} "
                    f"--add-config cleanup.policy={wanted}.",
                )
            )
    findings += _retention(there, topics, vendors)
    findings += _by_size(there)
    findings += _tombstones(there, topics)
    findings += _batches(there)
    findings += _sizes(there, topics, partitions, brokers)
    findings += shop
    if not findings:
        raw = there[topics.clicks]
        findings.append(
            ok(
                SUBJECT,
                f"All {len(there)} topics exist; those keyed by visitor have {raw.partitions} "
                "partitions each.",
            )
        )
    return findings


def shop_findings(
    settings: Settings, configs: Mapping[str, Mapping[str, str]]
) -> Iterator[Finding]:
    """Yield what is wrong with topics that ``ingest`` reads; ``configs``: of those that exist."""
    for name, section in settings.ingest.items():
        config = configs.get(section.topic)
        if config is None:
            yield problem(
                SUBJECT,
                f"Topic {section.topic} of [ingest.{name}] does not exist.",
                "Correct its name in streams.toml, or make it with Kafka's own tools.",
            )
        elif section.to in ("users", "products") and "compact" not in config["cleanup.policy"]:
            yield warning(
                SUBJECT,
                f"Topic {section.topic} of [ingest.{name}], which fills shop.{section.to}, has "
                f"cleanup.policy {config['cleanup.policy']}: rows that were deleted there before "
                "ingest first read it are missing.",
                "Write all rows to it once more, or compact it: kafka-configs --alter --topic "
                f"{section.topic} --add-config cleanup.policy=compact.",
            )


def off_findings(names: Sequence[str]) -> Iterator[Finding]:
    """Yield that nothing reads these topics, which are those of sources that are off."""
    for name in names:
        yield warning(
            SUBJECT,
            f"Topic {name} exists, but its source is switched off: nothing reads it.",
            f"If events are written to it, set [source.{name.rpartition('shop.')[2]}] enabled = "
            "true and restart enrich.",
        )


def _retention(
    there: Mapping[str, TopicReport], topics: Topics, vendors: Sequence[str]
) -> Iterator[Finding]:
    """Receipts must outlive what they are about: repeats are recognised by them, sums need them."""
    for vendor in vendors:
        receipts = there.get(topics.receipts(vendor))
        if receipts is None:
            continue
        about = (
            *topics.raw,
            topics.events(vendor),
            topics.redelivery(vendor),
        )
        kept = {name: _kept_ms(there[name]) for name in about if name in there}
        has = _kept_ms(receipts)
        longest = max(kept, key=lambda name: kept[name], default=None)
        if longest is None or has >= kept[longest]:
            continue
        wanted = kept[longest]
        value = -1 if wanted == float("inf") else int(wanted)
        yield problem(
            SUBJECT,
            f"Topic {receipts.topic} keeps receipts {_span(has)}, but {longest} its records "
            f"{_span(wanted)}: the audit then calls settled events missing.",
            f"Keep them longer: kafka-configs --alter --topic {receipts.topic} --add-config "
            f"retention.ms={value}.",
        )


def _by_size(there: Mapping[str, TopicReport]) -> Iterator[Finding]:
    limited = {
        name: f"{int(report.config['retention.bytes']):,}"
        for name, report in there.items()
        if "delete" in report.config["cleanup.policy"] and report.config["retention.bytes"] != "-1"
    }
    if limited:
        first, has = next(iter(limited.items()))
        yield warning(
            SUBJECT,
            f"{_named(list(limited))} limited by size, too (retention.bytes {has} for each "
            "partition): Kafka may delete records long before their retention.ms ends, also "
            "unread ones, and no worker warns of it.",
            f"Remove the limit: kafka-configs --alter --topic {first} --add-config "
            "retention.bytes=-1.",
        )


def _batches(there: Mapping[str, TopicReport]) -> Iterator[Finding]:
    small = {
        name: int(report.config["max.message.bytes"])
        for name, report in there.items()
        if int(report.config["max.message.bytes"]) < DEFAULT_MESSAGE_BYTES
    }
    for name, has in small.items():
        yield warning(
            SUBJECT,
            f"Topic {name} takes batches of at most {has:,} bytes (max.message.bytes), less than "
            f"Kafka's default of {DEFAULT_MESSAGE_BYTES:,}: batches and dead letters are cut to "
            "that, and a partition with a larger single record waits.",
            f"Raise it: kafka-configs --alter --topic {name} --add-config "
            f"max.message.bytes={DEFAULT_MESSAGE_BYTES}.",
        )


def _tombstones(there: Mapping[str, TopicReport], topics: Topics) -> Iterator[Finding]:
    users = there.get(topics.users)
    if users is None:
        return
    wanted = 30 * DAY_MS
    has = int(users.config["delete.retention.ms"])
    if has < wanted:
        yield warning(
            SUBJECT,
            f"Topic {users.topic} keeps tombstones {_span(has)}, less than {_span(wanted)}: a "
            "worker that was away for longer would miss that a visitor was forgotten.",
            f"Keep them longer: kafka-configs --alter --topic {users.topic} --add-config "
            f"delete.retention.ms={wanted}.",
        )


def _sizes(
    there: Mapping[str, TopicReport], topics: Topics, partitions: int, brokers: int
) -> Iterator[Finding]:
    clicks = there.get(topics.clicks)
    if clicks is not None and clicks.partitions != partitions:
        yield warning(
            SUBJECT,
            f"Topic {clicks.topic} has {clicks.partitions} partitions, STREAMS_KAFKA_PARTITIONS "
            f"says {partitions}: new topics would not match the existing ones.",
            f"Set STREAMS_KAFKA_PARTITIONS={clicks.partitions}.",
        )
    copies = min(3, brokers)
    few = [name for name, report in there.items() if (report.replication or 0) < copies]
    if few:
        yield warning(
            SUBJECT,
            f"{_named(few)} kept in fewer than {copies} copies, though there are {brokers} "
            "brokers: the loss of one could lose events.",
            "Give them more copies with Kafka's own tools (kafka-reassign-partitions).",
        )


def _kept_ms(report: TopicReport) -> float:
    """How long records are kept; a compacted topic, or -1, keeps them for ever."""
    if report.config["cleanup.policy"] == "compact":
        return float("inf")
    kept = int(report.config["retention.ms"])
    return float("inf") if kept < 0 else kept


def _span(milliseconds: float) -> str:
    if milliseconds == float("inf"):
        return "for ever"
    size, unit = (DAY_MS, "day") if milliseconds >= DAY_MS else (3_600_000, "hour")
    count = f"{milliseconds / size:.3g}"
    return f"{count} {unit}{'s'[: count != '1']}"


def _named(names: Sequence[str]) -> str:
    """Return the topics as the start of a sentence, its verb included: the first few by name."""
    if len(names) == 1:
        return f"Topic {names[0]} is"
    rest = len(names) - _SHOWN
    more = f" and {rest} more" if rest > 0 else ""
    return f"{len(names)} topics ({', '.join(names[:_SHOWN])}{more}) are"
