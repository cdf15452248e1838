"""Puts the web view together for one worker: settings in, pages on the app's server."""

from collections.abc import Callable
from typing import Any

from faust.web.base import BlueprintManager

from streams.agents.metrics import WorkerCollector, registry_of
from streams.agents.report import Reporter
from streams.operations.control import set_paused
from streams.operations.status.watch import Watch
from streams.settings import Settings
from streams.vendors import VENDORS
from streams.web import health
from streams.web.connections import BoundedRunner
from streams.web.dashboard import Dashboard
from streams.web.guard import Guard
from streams.web.letters import Letters
from streams.web.metrics import MetricsPage
from streams.web.replays import Replays
from streams.web.runs import RunProcesses, Runs
from streams.web.site import Page, Site
from streams.web.trace import Traces
from streams.web.view import Frame


def open_site(
    app: Any,
    settings: Settings,
    reporter: Reporter,
    *,
    wall_ms: Callable[[], int],
    clock: Callable[[], float],
) -> None:
    """Put every page on the app's web view, in place of Faust's own, behind the guard."""
    app.web.blueprints = BlueprintManager()
    app.web._runner = BoundedRunner(app.web.web_app)
    watch = Watch(
        settings,
        own=reporter.snapshot,
        contact=app.contact,
        wall_ms=wall_ms,
        clock=clock,
    )
    health.register(app, reporter, watch.findings)
    site = build_site(settings, reporter, watch, wall_ms=wall_ms, clock=clock)
    site.install(app.web.web_app)


def build_site(
    settings: Settings,
    reporter: Reporter,
    watch: Watch,
    *,
    wall_ms: Callable[[], int],
    clock: Callable[[], float],
) -> Site:
    """Return the pages of a worker with these settings."""
    token = settings.web.token
    dashboard = Dashboard(frame_of(settings), watch, clock=clock)
    secrets = settings.secrets()
    letters = Letters(settings, wall_ms, lambda: secrets)

    runs = Runs(RunProcesses().do)

    async def pause(vendor: str, paused: bool) -> str:
        will = await set_paused(settings, vendor, paused)
        name = VENDORS[vendor].name
        if will.paused != paused:
            return f"Somebody else has just said otherwise: {name} is as they want it."
        return f"{name} is {'paused' if paused else 'resumed'}, for all its workers."

    return Site(
        dashboard,
        Guard(
            token.get_secret_value() if token else None,
            settings.web.host,
            lambda: wall_ms() / 1000,
        ),
        pause,
        (
            Page("GET", "/api/dead-letters", letters.groups),
            Page("GET", "/api/dead-letters/example", letters.example),
            Page("POST", "/api/dead-letters/drop", letters.drop),
            Page("GET", "/api/replays", Replays(settings, wall_ms).runs),
            Page("POST", "/api/replays/preview", runs.preview),
            Page("POST", "/api/replays/start", runs.start),
            Page("POST", "/api/replays/{run_id}/resume", runs.resume),
            Page("POST", "/api/replays/{run_id}/stop", runs.stop),
            Page("GET", "/api/trace", Traces(settings, wall_ms).answer),
            Page(
                "GET",
                "/metrics",
                MetricsPage(registry_of(WorkerCollector(reporter, watch.labels))).answer,
            ),
        ),
    )


def frame_of(settings: Settings) -> Frame:
    """Return what the dashboard has to know of the installation."""
    return Frame(
        names={key: vendor.name for key, vendor in VENDORS.items()},
        prefix=settings.kafka.topic_prefix,
        may_change=settings.web.token is not None,
    )
