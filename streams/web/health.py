"""Health and the worker's own status as JSON."""

from collections.abc import Callable
from typing import Any

import msgspec

from streams.core.snapshot import WorkerSnapshot
from streams.status.findings import Finding
from streams.worker.report import Reporter


def register(app: Any, reporter: Reporter, findings: Callable[[], list[Finding]]) -> None:
    """Add the pages to the app's web view; they answer while tables are still being read.

    ``findings`` returns the judgement on the whole pipeline, as far as this worker knows it.
    """

    @app.page("/health/live")
    async def live(view: Any, request: Any) -> Any:  # noqa: ARG001
        snapshot = reporter.snapshot()
        return view.json({"live": True, "ready": snapshot.ready, **_how_far(snapshot)})

    @app.page("/health/ready")
    async def ready(view: Any, request: Any) -> Any:  # noqa: ARG001
        snapshot = reporter.snapshot()
        body = {
            "ready": snapshot.ready,
            **_how_far(snapshot),
            "vendor": msgspec.to_builtins(snapshot.vendor),
            "warnings": snapshot.warnings,
            "findings": [finding.to_json() for finding in findings()],
        }
        return view.json(body, status=200 if snapshot.ready else 503)

    @app.page("/api/status")
    async def status(view: Any, request: Any) -> Any:  # noqa: ARG001
        return view.json(msgspec.to_builtins(reporter.snapshot()))


def _how_far(snapshot: WorkerSnapshot) -> dict[str, Any]:
    return {"reasons": snapshot.not_ready, "recovering_rows": snapshot.recovering_rows}
