"""Health by the contract, also while tables are still being read."""

import json
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from streams.core.snapshot import WorkerSnapshot
from streams.status.findings import Finding, Level
from streams.web import health
from tests.web.scenes import now_ms, refused_key, sink

WELL = Finding(Level.OK, "pipeline", "All is well.", kind="all_well")


class Pages:
    """Stands in for the app: keeps the pages that are added to it."""

    def __init__(self) -> None:
        self.views: dict[str, Any] = {}

    def page(self, path: str) -> Callable[[Any], Any]:
        """Keep the page, as Faust's decorator does."""
        return lambda view: self.views.setdefault(path, view)

    def json(self, body: Any, status: int = 200) -> tuple[int, Any]:
        """Return what would be answered."""
        return status, json.loads(json.dumps(body))


class OneWorker:
    """Stands in for the reporter: says always the same."""

    def __init__(self, snapshot: WorkerSnapshot) -> None:
        self._snapshot = snapshot

    def snapshot(self) -> WorkerSnapshot:
        """Return it."""
        return self._snapshot


async def answers(snapshot: WorkerSnapshot) -> dict[str, tuple[int, Any]]:
    """Return what each page answers for this worker."""
    pages = Pages()
    health.register(pages, OneWorker(snapshot), lambda: [WELL])  # type: ignore[arg-type]
    return {path: await view(pages, None) for path, view in pages.views.items()}


async def test_both_answer_while_tables_are_read_and_say_how_far_it_is() -> None:
    """A worker that recovers is alive and not ready."""
    words = "Tables are being read: 120,000 rows remain."
    recovering = replace(
        sink(now_ms(), "miso"), ready=False, not_ready=[words], recovering_rows=120_000, vendor=None
    )
    found = await answers(recovering)
    far = {"reasons": [words], "recovering_rows": 120_000}
    assert found["/health/live"] == (200, {"live": True, "ready": False, **far})
    assert found["/health/ready"] == (
        503,
        {"ready": False, **far, "vendor": None, "warnings": [], "findings": [WELL.to_json()]},
    )


async def test_a_parked_vendor_leaves_its_worker_ready() -> None:
    """Restarting the worker would help nobody; the state stands in the body."""
    parked = next(one for one in refused_key(now_ms()) if one.stage == "miso")
    status, body = (await answers(parked))["/health/ready"]
    assert (status, body["ready"], body["vendor"]["state"]) == (200, True, "parked")
    assert (await answers(parked))["/api/status"][1]["worker"] == "miso-shop-1-0"
