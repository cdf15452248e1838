"""The composition root: settings in, a running worker out; only here real things are built."""

import asyncio
import logging
import socket
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn
from zlib import crc32

from pydantic import SecretStr

from streams import telemetry
from streams.alerts.announcer import Announcer
from streams.alerts.receivers import receivers_of
from streams.alerts.sent import SentAlerts
from streams.core.dead_letter import shorten_letter
from streams.core.enrich import Enricher
from streams.core.errors import SetupError
from streams.core.ingest.visitors import VisitorIndex
from streams.core.records import is_moved
from streams.core.times import arrived_ms
from streams.delivery.http import HttpClient
from streams.delivery.rate_limit import share_rate_limit
from streams.engine import wall_clock
from streams.engine.app import EngineOptions, StageApp
from streams.engine.fetcher import PATIENT, PROMPT, Gathering
from streams.engine.limits import TopicLimits
from streams.engine.worker import run_worker
from streams.kafka.connection import ask_brokers, client_options, codec, explain
from streams.kafka.group_ids import group_id
from streams.kafka.reader import read_at_start
from streams.kafka.topics import (
    absent_words,
    existing_topics,
    max_message_bytes,
    needed_topics,
    read_topics,
    required_topics,
    verify_topics,
    written_topics,
)
from streams.operations.rights import require_rights
from streams.registry.decoders import Decoders
from streams.replay.late_identity import late_identity_ms, send_late
from streams.settings import ENRICH, INGEST, STAGE_NAMES, Settings
from streams.stages.enrich.stage import EnrichStage
from streams.stages.ingest.stage import IngestStage
from streams.stages.sink.stage import SinkStage
from streams.vendors import VENDORS
from streams.vendors.base import Vendor, VendorSettings
from streams.web.build import open_site
from streams.worker.control import stop_run
from streams.worker.handover import Handover, exit_words
from streams.worker.report import Reporter
from streams.worker.slots import take_slot

log = logging.getLogger("streams")

INGEST_CHUNK_RECORDS = 2_000
"""A chunk of the shop's records goes to all partitions of the raw topics: each batch costs."""
LONG_LINGER_SECONDS = 0.15
"""If every vendor waits this long for a micro-batch, enrichment gathers records, too."""


class WorkerBackground(NamedTuple):
    """What a worker does beside its stage: it reports, and tells people if it can."""

    reporter: Reporter
    announcer: Announcer | None

    async def publish(self) -> None:
        """Run for as long as the worker lives."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self.reporter.publish())
            if self.announcer is not None:
                both.create_task(self.announcer.run())

    async def say_goodbye(self) -> None:
        """Remove this worker from the status topic, before the producer stops."""
        await self.reporter.say_goodbye()


def run_stage(
    settings: Settings, stage: str, slot: int | None = None, last_exit: int | None = None
) -> NoReturn:
    """Run one worker of a stage until a signal or a fault ends the process.

    ``last_exit``: the exit code of the process before, where a supervisor has seen it.

    Raises:
        SettingsError: this stage cannot run with these settings.
        SetupError: broker, topics, port, slot or state folder are not as they must be.
    """
    settings.require_stage(stage)
    held = take_slot(settings.state.dir, stage, slot)
    log.info("starting %s: connecting to Kafka at %s", stage, settings.kafka.bootstrap_servers)
    needed = needed_topics(settings.topics, stage, settings.enabled_vendors())
    asyncio.run(require_rights(settings, stage))
    counts = asyncio.run(required_topics(settings, needed))
    port = settings.web_port(stage, held.number)
    _require_port(settings.web.host, port)
    app, background = build(settings, stage, held.number, counts, last_exit)
    run_worker(app, background)


def _require_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SetupError(
                f"The web view cannot listen on {host}:{port} ({error.strerror}): stop what uses "
                "this port, or set STREAMS_WEB_PORT to another one."
            ) from error


def build(
    settings: Settings,
    stage: str,
    slot: int,
    partitions: Mapping[str, int],
    last_exit: int | None = None,
) -> tuple[StageApp, WorkerBackground]:
    """Return a stage's app and what it publishes of itself."""
    make = {INGEST: _ingest, ENRICH: _enrich}.get(stage) or partial(_sink, VENDORS[stage])
    app = StageApp(_options(settings, stage, slot, partitions), partial(make, settings, partitions))
    path = Path(settings.state.dir) / f"{stage}-{slot}.life.json"
    how = "" if last_exit is None else exit_words(last_exit)
    life = Handover(path, wall_clock.now_ms(), how)
    return app, _background(settings, app, slot, life)


def _ingest(settings: Settings, partitions: Mapping[str, int], app: StageApp) -> IngestStage:
    visitors = VisitorIndex(VENDORS) if settings.topics.joins else None
    mappings = settings.ingest_mappings(Decoders(settings.registry).of, visitors)
    absent = [absent_words(settings, topic) for topic in mappings if topic not in partitions]
    for sentence in absent:
        log.warning("%s", sentence)
    return IngestStage(
        app,
        settings.topics,
        {topic: mapping for topic, mapping in mappings.items() if topic in partitions},
        partitions=partitions,
        wall_ms=wall_clock.now_ms,
        secrets=settings.secrets(),
        absent=absent,
        visitors=visitors,
    )


def _enrich(settings: Settings, partitions: Mapping[str, int], app: StageApp) -> EnrichStage:
    vendors = settings.enabled_vendors()
    plans = [settings.plan_for(key) for key in vendors]
    return EnrichStage(
        app,
        settings.topics,
        Enricher(plans, settings.consent.mode),
        vendors,
        parsers=settings.event_parsers(),
        fields=settings.field_maps(),
        wall_ms=wall_clock.now_ms,
        partitions=partitions,
        keep_email=settings.keeps_email(vendors),
        duplicate_ms=round(settings.enrich.duplicate_minutes * 60_000),
        late=[
            (window_ms, partial(send_late, settings, vendor, window_ms))
            for vendor, window_ms in late_identity_ms(settings).items()
        ],
    )


def _sink(
    vendor: Vendor, settings: Settings, partitions: Mapping[str, int], app: StageApp
) -> SinkStage:
    section = settings.vendors[vendor.key]
    sender = HttpClient(
        section.base_url,
        concurrency=vendor.concurrency(section),
        current_http=settings.current_http,
    )
    stage = SinkStage(
        app,
        vendor,
        section,
        settings.topics,
        sender,
        partitions=partitions[settings.topics.events(vendor.key)],
        mode=settings.consent.mode,
        secrets=settings.secrets(),
        current_settings=partial(_with_current_secrets, settings, vendor.key),
        write_stop=partial(stop_run, settings, vendor.key),
    )
    if (limit := stage.courier.client.rate_limit) is not None:
        share_rate_limit(time.monotonic, vendor.account(section), limit)
    return stage


def _with_current_secrets(settings: Settings, vendor: str) -> tuple[VendorSettings, list[str]]:
    """Return the vendor's section with its secret files read again; none of them is ever shown."""
    section = settings.with_current_secrets(vendor)
    secrets = [value.get_secret_value() for _, value in section if isinstance(value, SecretStr)]
    telemetry.hide(secrets)
    return section, secrets


def _digest(reads: Mapping[str, int]) -> str:
    """Return what tells members apart that read other topics, or other partitions of them.

    A broker hands a static member that comes back its old partitions, whatever it subscribes to
    now: after an upgrade that reads more, or when topics have grown, it must come as another one.
    """
    words = ",".join(f"{topic}:{count}" for topic, count in sorted(reads.items()))
    return f"{crc32(words.encode()):08x}"


def _options(
    settings: Settings, stage: str, slot: int, partitions: Mapping[str, int]
) -> EngineOptions:
    group = group_id(settings.kafka.topic_prefix, stage)
    wanted = read_topics(settings.topics, stage)
    reads = {topic: partitions[topic] for topic in wanted if topic in partitions}
    absent = [topic for topic in wanted if topic not in partitions]
    megabytes = settings.watchdog.memory_mb
    return EngineOptions(
        stage=stage,
        group=group,
        client_options=client_options(settings.kafka),
        instance_id=f"{group}-{socket.gethostname()}-{slot}-{_digest(reads)}",
        data_dir=Path(settings.state.dir) / f"{stage}-{slot}",
        topics=partitions,
        appeared_topics=partial(existing_topics, settings, absent) if absent else None,
        writes=written_topics(settings.topics, stage, settings.enabled_vendors()),
        limits=_limits(settings),
        ask_brokers=partial(ask_brokers, settings.kafka),
        explain=partial(explain, settings.kafka),
        read_elsewhere=lambda: read_at_start.records,
        topic_problems=lambda: verify_topics(settings, tuple(partitions)),
        compression=codec(settings.kafka),
        session_seconds=settings.kafka.session_seconds,
        client_rack=settings.kafka.client_rack,
        gathering=gathering(settings, stage),
        web_host=settings.web.host,
        web_port=settings.web_port(stage, slot),
        arrived_ms=arrived_ms,
        is_moved=is_moved,
        chunk_records=INGEST_CHUNK_RECORDS if stage == INGEST else settings.enrich.chunk_records,
        stall_seconds=settings.watchdog.stall_seconds,
        memory_limit=None if megabytes is None else megabytes * 2**20,
    )


def gathering(settings: Settings, stage: str) -> Gathering:
    """Return ``PATIENT`` for enrichment if all its events wait for a micro-batch afterwards."""
    lingers = [VENDORS[v].linger_seconds(settings.vendors[v]) for v in settings.enabled_vendors()]
    is_patient = stage == ENRICH and min(lingers, default=0.0) >= LONG_LINGER_SECONDS
    return PATIENT if is_patient else PROMPT


def _limits(settings: Settings) -> TopicLimits:
    topics = settings.topics
    letters = [
        topics.ingest_dead_letters,
        topics.enrich_dead_letters,
        *map(topics.dead_letters, VENDORS),
    ]
    return TopicLimits(
        shorten=dict.fromkeys(letters, shorten_letter), read=partial(max_message_bytes, settings)
    )


def _background(settings: Settings, app: StageApp, slot: int, life: Handover) -> WorkerBackground:
    stage = app.stage
    assert isinstance(stage, IngestStage | EnrichStage | SinkStage)
    receivers = receivers_of(settings.alerts)
    reporter = Reporter(
        app,
        stage.counters,
        stage.courier if isinstance(stage, SinkStage) else None,
        slot=slot,
        status_topic=settings.topics.status,
        wall_ms=wall_clock.now_ms,
        clock=time.monotonic,
        life=life,
        page=f"http://{settings.web.host}:{app.options.web_port}/",
        sends_alerts=bool(receivers),
        joins=stage.joins if isinstance(stage, EnrichStage) else None,
        drift=stage.drift if isinstance(stage, IngestStage) else list,
        secrets=lambda: (
            stage.outcome_writer.secrets if isinstance(stage, SinkStage) else settings.secrets()
        ),
    )
    watch = open_site(app, settings, reporter, wall_ms=wall_clock.now_ms, clock=time.monotonic)
    if not receivers:
        return WorkerBackground(reporter, None)
    announcer = Announcer(
        reporter.worker,
        watch,
        SentAlerts(settings, lambda: app.kafka_producer),
        receivers,
        names=STAGE_NAMES | {key: vendor.name for key, vendor in VENDORS.items()},
        shop=settings.kafka.topic_prefix,
        wall_ms=wall_clock.now_ms,
        clock=time.monotonic,
    )
    return WorkerBackground(reporter, announcer)
