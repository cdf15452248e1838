"""Snapshots of a pipeline in every mood, and a web view that shows them without any broker."""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import sin
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace

from streams.core.snapshot import (
    Cause,
    JoinHealth,
    LastRequest,
    Outcomes,
    QuotaUse,
    Totals,
    VendorStatus,
    Waiting,
    WorkerSnapshot,
)
from streams.settings import Settings, load_settings
from streams.status.known import Known, StageState
from streams.status.status import StatusBoard
from streams.web.authentication import Authentication
from streams.web.connections import BoundedRunner
from streams.web.dashboard import Dashboard
from streams.web.history import SAMPLES, STEP_SECONDS, Point
from streams.web.site import Site

NAMES = {"eightselect": "8SELECT", "voyado": "Voyado Engage", "miso": "Miso"}
TOKEN = "a-token-for-tests"


def plain(words: Iterable[Any]) -> str:
    """A sentence of the page as one text, its moments in UTC."""
    return "".join(
        part
        if isinstance(part, str)
        else f"{datetime.fromtimestamp(part['at'] / 1000, UTC):%H:%M UTC}"
        for part in words
    )


def now_ms() -> int:
    """The present, in ms since the epoch."""
    return time.time_ns() // 1_000_000


def enrich(now: int, /, **changes: Any) -> WorkerSnapshot:
    """A worker of enrichment that reads 52 events a second."""
    snapshot = WorkerSnapshot(
        worker="enrich-shop-1-0",
        stage="enrich",
        slot=0,
        host="shop-1",
        pid=4711,
        version="0.1.0",
        at=now,
        started_at=now - 5 * 3_600_000,
        ready=True,
        partitions={
            "shop.clicks": [0, 1, 2, 3, 4, 5],
            "shop.add-to-carts": [0, 1, 2, 3, 4, 5],
            "shop.users": [0, 1, 2, 3, 4, 5],
        },
        lag={"shop.clicks": 3, "shop.add-to-carts": 0},
        totals=Totals(events=941_203),
        rate=52.3,
        memory_bytes=412_000_000,
        skipped_by_vendor={
            "eightselect": {"outside_content": 610_288, "no_consent": 31_077},
            "voyado": {"no_contact": 702_441, "no_consent": 31_077, "thinned": 0},
            "miso": {"no_consent": 31_077, "unknown_product": 1_204},
        },
        causes=[Cause(None, "invalid_json", "m4qk7wzd", 12, "not json at position #")],
        join=JoinHealth(
            941_203,
            702_441,
            4_408,
            1_204,
            {
                "user": ["product 10442 of visitor #veah (e-41c2)"],
                "product": ["product P-20931 of visitor #rvot (e-9ad1)"],
                "sku": ["product P-20931 of visitor #rvot (e-9ad1)"],
            },
        ),
        notes={"clock_ahead": 41, "left_out:price": 7},
        lately={
            "eightselect": Outcomes(0, {"outside_content": 20_100, "no_consent": 1_030}),
            "voyado": Outcomes(0, {"no_contact": 23_400, "no_consent": 1_030}),
            "miso": Outcomes(0, {"no_consent": 1_030, "unknown_product": 40}),
        },
        versions={"clickstream-relay": "0.1.0", "python": "3.11.9", "aiokafka": "0.14.0"},
    )
    return replace(snapshot, **changes)


def sink(now: int, vendor: str, /, **changes: Any) -> WorkerSnapshot:
    """A vendor's worker that takes what comes."""
    topic = f"vendor.{vendor}.events"
    redelivery = f"vendor.{vendor}.redelivery"
    rates = {"eightselect": 6.4, "voyado": 9.1, "miso": 49.8}
    requests = [
        LastRequest(
            now - 900 * n,
            "POST",
            "/v1/interactions",
            200,
            0.083,
            '{"data":[{"type":"add_to_cart","anonymous_id":"#veah","product_ids":["SKU-10442"],'
            '"quantities":[2],"context":{"truncated_ip":"192.0.2.0"}},"… 24 more"]}',
            '{"message":"success"}',
        )
        for n in range(3)
    ]
    snapshot = WorkerSnapshot(
        worker=f"{vendor}-shop-1-0",
        stage=vendor,
        slot=0,
        host="shop-1",
        pid=4712 + len(vendor),
        version="0.1.0",
        at=now,
        started_at=now - 5 * 3_600_000,
        ready=True,
        partitions={topic: [0, 1, 2, 3, 4, 5], redelivery: [0, 1, 2, 3, 4, 5]},
        lag={topic: 4, redelivery: 0},
        totals=Totals(events=212_000, accepted=211_377, requests={"200": 48_002, "503": 3}),
        rate=rates.get(vendor, 1.0),
        accepted_rate=rates.get(vendor, 1.0),
        settled_rate=rates.get(vendor, 1.0),
        vendor=VendorStatus("running", now - 5 * 3_600_000),
        memory_bytes=151_000_000,
        age_seconds={"p50": 4.2, "p95": 61.0},
        delivery_seconds={"p50": 0.31, "p95": 0.74},
        lately={vendor: Outcomes(round(600 * rates.get(vendor, 1.0)))},
        waiting={topic: Waiting(4, now - 210, "click"), redelivery: Waiting(0)},
        quota=QuotaUse(9.6, 38.0, 40.0) if vendor == "voyado" else None,
        causes=[
            Cause(vendor, "rejected", "h7k2mnpq", 14, "product_ids: # is not in the catalogue"),
            Cause(vendor, "invalid_payload", "b3x9fwrt", 2, "user_id: miso takes at most # chars"),
        ]
        if vendor == "miso"
        else [],
        last_requests=requests,
        versions={"clickstream-relay": "0.1.0", "python": "3.11.9", "aiokafka": "0.14.0"},
    )
    return replace(snapshot, **changes)


def calm(now: int) -> list[WorkerSnapshot]:
    """All is well."""
    return [enrich(now), *(sink(now, vendor) for vendor in NAMES)]


def in_state(now: int, vendor: str, status: VendorStatus, waiting: int) -> list[WorkerSnapshot]:
    """One vendor in some state, with so many events before it."""
    topic = f"vendor.{vendor}.events"
    stuck = sink(
        now,
        vendor,
        vendor=status,
        lag={topic: waiting},
        waiting={topic: Waiting(waiting, status.since - 2_000, "add_to_cart")},
        rate=0.0,
        accepted_rate=0.0,
        settled_rate=0.0,
        last_requests=[
            LastRequest(
                now - 4_000,
                "POST",
                "/v1/interactions?dry_run",
                401,
                0.041,
                '{"data":[]}',
                '{"detail":"Invalid api key ***"}',
            )
        ],
    )
    return [enrich(now), *(stuck if key == vendor else sink(now, key) for key in NAMES)]


def refused_key(now: int) -> list[WorkerSnapshot]:
    """Miso has refused the key for six minutes."""
    status = VendorStatus(
        "parked",
        now - 399_000,
        '401: {"detail":"Invalid api key"}',
        "Check the key and the address of Miso in the settings.",
    )
    return in_state(now, "miso", status, 18_204)


def installation(*, may_change: bool = False, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings without a token, or with one."""
    return load_settings(({"STREAMS_WEB_TOKEN": TOKEN} if may_change else {}) | dict(environ or {}))


def known(now: int, snapshots: Sequence[WorkerSnapshot], **more: Any) -> Known:
    """What is known where these workers speak; ``waiting``: by stage, what the brokers say."""
    waiting = more.pop("waiting", {})
    stages = [
        StageState(
            key,
            name,
            waiting=waiting.get(key),
            key_place="`STREAMS_MISO_API_KEY` and restart its workers" if key == "miso" else "",
        )
        for key, name in {"enrich": "Enrichment", **NAMES}.items()
    ]
    board = StatusBoard({one.worker: one for one in snapshots})
    return Known(now, stages, board.workers(now), **more)


@dataclass(slots=True)
class Watched:
    """A pipeline whose snapshots a test writes."""

    board: StatusBoard = field(default_factory=StatusBoard)
    waiting: dict[str, int] = field(default_factory=dict)
    """By stage, what the brokers say; of others they say nothing."""
    silent_since: int | None = None
    expired: Callable[[], dict[str, int]] = dict

    async def refresh(self) -> None:
        """The board is written by the test."""

    def note_expired(self, lately: Callable[[], dict[str, int]]) -> None:
        """Take what tells what retention deleted."""
        self.expired = lately

    def known(self) -> Known:
        """Return what is known as of now."""
        return known(
            now_ms(),
            list(self.board.snapshots.values()),
            expired_lately=self.expired(),
            waiting=self.waiting,
            kafka_silent_since=self.silent_since,
        )


@dataclass(slots=True)
class Scene:
    """A web view over a board that tests write."""

    site: Site
    watched: Watched
    server: TestServer
    paused: list[tuple[str, bool]] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    """How long answers to wrong tokens would have waited."""

    @property
    def url(self) -> str:
        """Where it is served."""
        return f"http://127.0.0.1:{self.server.port}"

    def show(self, snapshots: Sequence[WorkerSnapshot]) -> None:
        """Put these on the board in place of all others."""
        self.watched.board.snapshots.clear()
        self.watched.board.snapshots.update({one.worker: one for one in snapshots})


def past_hour(dashboard: Dashboard, of: Known, minutes: int = 60) -> None:
    """Fill the curves as if this pipeline had been looked at for so long."""
    shares = {"eightselect": 1.0, "voyado": 1.0, "miso": 0.95}
    stopped = {
        worker.snapshot.stage: worker.snapshot.vendor.since
        for worker in of.workers
        if worker.snapshot.vendor and worker.snapshot.vendor.state != "running"
    }
    steps = min(SAMPLES, minutes * 60 // STEP_SECONDS)
    for step in range(steps):
        at = of.now_ms - (steps - step) * STEP_SECONDS * 1000
        raw = 46 + 7 * sin(step / 23) + 3 * sin(step / 5.3) + (step * 37 % 11 - 5) / 4
        points = {}
        for key, share in shares.items():
            since = stopped.get(key, of.now_ms)
            late = 4 if at < since else round((at - since) / 1000 * share * 48)
            points[key] = Point(share * raw if at < since else 0.0, late)
        dashboard._history.sample(at, points)
    for worker in of.alive("enrich"):
        for key, skips in worker.snapshot.skipped_by_vendor.items():
            lately = round(10 * (52.3 - {"eightselect": 6.4, "voyado": 9.1, "miso": 49.8}[key]))
            total = sum(skips.values())
            dashboard._history.note_skipped(time.monotonic() - 10, key, total - lately)


class _Server(TestServer):
    """The web view with its bounds on connections, as a worker serves it."""

    async def _make_runner(self, **options: Any) -> BoundedRunner:
        return BoundedRunner(self.app, **options)


@asynccontextmanager
async def scene(
    snapshots: Sequence[WorkerSnapshot],
    *,
    token: str | None = None,
    metrics_token: str | None = None,
    pages: Sequence[web.RouteDef] = (),
    port: int | None = None,
    past_minutes: int = 0,
    waiting: Mapping[str, int] | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[Scene]:
    """Serve the web view over these snapshots on loopback."""
    watched = Watched(waiting=dict(waiting or {}))
    settings = installation(may_change=token is not None, environ=environ)
    dashboard = Dashboard(settings, watched, clock=time.monotonic)
    if past_minutes:
        past_hour(dashboard, known(now_ms(), snapshots), past_minutes)
    paused: list[tuple[str, bool]] = []

    async def pause(vendor: str, wanted: bool) -> str:
        paused.append((vendor, wanted))
        return f"{NAMES[vendor]} is {'paused' if wanted else 'resumed'}, for all its workers."

    delays: list[float] = []

    async def sleep(seconds: float) -> None:
        delays.append(seconds)

    guard = Authentication(token, "127.0.0.1", time.time, sleep, metrics_token=metrics_token)
    site = Site(dashboard, guard, pause, tuple(pages))
    app = web.Application()
    site.install(app)
    server = _Server(app, port=port) if port else _Server(app)
    found = Scene(site, watched, server, paused, delays)
    # Before the first pulse, so that no curve begins or ends with nothing known.
    found.show(snapshots)
    await server.start_server(shutdown_timeout=0.1)
    try:
        yield found
    finally:
        await server.close()
