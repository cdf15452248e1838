"""Puts the web view together for one worker: settings in, pages on the app's server."""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from faust.web.base import BlueprintManager
from prometheus_client.exposition import choose_encoder

from streams.kafka.topics import read_topics
from streams.settings import Settings
from streams.status.watch import PipelineWatch
from streams.vendors import VENDORS
from streams.web import health
from streams.web.authentication import Authentication
from streams.web.connections import BoundedRunner
from streams.web.dashboard import Dashboard
from streams.web.letters import Letters
from streams.web.replays import Replays
from streams.web.runs import RunPage, RunProcesses
from streams.web.site import Site
from streams.web.trace import TracePage
from streams.worker.control import set_paused
from streams.worker.metrics import WorkerCollector, registry_of
from streams.worker.report import Reporter


def open_site(
    app: Any,
    settings: Settings,
    reporter: Reporter,
    *,
    wall_ms: Callable[[], int],
    clock: Callable[[], float],
) -> PipelineWatch:
    """Put every page on the app's web view, in place of Faust's own, behind the guard.

    Returns what follows the pipeline for these pages.
    """
    app.web.blueprints = BlueprintManager()
    app.web._runner = BoundedRunner(app.web.web_app)
    watch = PipelineWatch(
        settings, own=reporter.snapshot, contact=app.contact, wall_ms=wall_ms, clock=clock
    )
    health.register(app, reporter, watch.findings)
    site = build_site(settings, reporter, watch, wall_ms=wall_ms, clock=clock)
    site.install(app.web.web_app)
    return watch


def build_site(
    settings: Settings,
    reporter: Reporter,
    watch: PipelineWatch,
    *,
    wall_ms: Callable[[], int],
    clock: Callable[[], float],
) -> Site:
    """Return the pages of a worker with these settings."""
    token, metrics_token = settings.web.token, settings.web.metrics_token
    dashboard = Dashboard(settings, watch, clock=clock)
    letters = Letters(settings, wall_ms)
    runs = RunPage(RunProcesses().do)

    def without_owner() -> dict[str, int]:
        app = reporter.app
        read = read_topics(settings.topics, app.options.stage)
        return watch.without_owner({topic: app.options.topics[topic] for topic in read})

    collector = WorkerCollector(
        reporter, watch.labels, without_owner, shop=settings.kafka.topic_prefix
    )

    registry = registry_of(collector)

    async def metrics(request: web.Request) -> web.StreamResponse:
        encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encoder(registry), headers={"Content-Type": content_type})

    async def pause(vendor: str, paused: bool) -> str:
        control = await set_paused(settings, vendor, paused)
        name = VENDORS[vendor].name
        if control.paused != paused:
            return f"Somebody else has just said otherwise: {name} is as they want it."
        return f"{name} is {'paused' if paused else 'resumed'}, for all its workers."

    return Site(
        dashboard,
        Authentication(
            token.get_secret_value() if token else None,
            settings.web.host,
            lambda: wall_ms() / 1000,
            metrics_token=metrics_token.get_secret_value() if metrics_token else None,
        ),
        pause,
        (
            web.get("/api/dead-letters", letters.groups),
            web.get("/api/dead-letters/example", letters.example),
            web.post("/api/dead-letters/drop", letters.drop),
            web.get("/api/replays", Replays(settings, wall_ms).runs),
            web.post("/api/replays/preview", runs.preview),
            web.post("/api/replays/start", runs.start),
            web.post("/api/replays/{run_id}/resume", runs.resume),
            web.post("/api/replays/{run_id}/stop", runs.stop),
            web.get("/api/trace", TracePage(settings, wall_ms).answer),
            web.get("/metrics", metrics),
        ),
    )
