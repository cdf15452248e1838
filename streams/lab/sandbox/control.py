"""The sandbox's own paths, beside those of the vendors.

``GET /health`` · ``GET /ledger`` with ``?vendor=``, ``?ids=1`` (event ids in order), ``?records=1``
(rows), ``?payloads=1`` (the newest payloads), ``?since=N`` (from this position), ``?limit=N`` ·
``DELETE /ledger`` · ``GET``, ``POST``, ``DELETE /faults``. ``?vendor=`` limits the DELETEs too.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from streams.core.errors import SettingsError
from streams.lab.sandbox.exchange import SimulatedResponse, Simulator, html_page, json_answer
from streams.lab.sandbox.faults import Faults, read_faults


class Control:
    """Answers what is asked of the sandbox itself."""

    def __init__(self, simulators: Mapping[str, Simulator], faults: Faults) -> None:
        self._simulators = simulators
        self._faults = faults
        self._routes: Mapping[
            tuple[str, str], Callable[[Mapping[str, str], bytes], SimulatedResponse]
        ] = {
            ("GET", "/health"): self._health,
            ("GET", "/ledger"): self._show_ledger,
            ("DELETE", "/ledger"): self._clear_ledger,
            ("GET", "/faults"): self._show_faults,
            ("POST", "/faults"): self._set_faults,
            ("DELETE", "/faults"): self._clear_faults,
            ("GET", "/moved"): self._moved,
        }

    def answer(
        self, method: str, path: str, query: Mapping[str, str], body: bytes
    ) -> SimulatedResponse:
        """Return the answer to a request whose path belongs to no vendor."""
        vendor = query.get("vendor")
        if vendor is not None and vendor not in self._simulators:
            known = ", ".join(self._simulators)
            return json_answer(400, {"error": f"no simulator for '{vendor}'; there is {known}"})
        route = self._routes.get((method, path))
        if route is None:
            return json_answer(404, {"error": f"no {method} {path} in this sandbox"})
        return route(query, body)

    def _health(self, _query: Mapping[str, str], _body: bytes) -> SimulatedResponse:
        return json_answer(200, {"status": "ok", "vendors": list(self._simulators)})

    def _chosen(self, query: Mapping[str, str]) -> list[Simulator]:
        vendor = query.get("vendor")
        return [self._simulators[vendor]] if vendor else list(self._simulators.values())

    def _show_ledger(self, query: Mapping[str, str], _body: bytes) -> SimulatedResponse:
        since, limit = query.get("since", "0"), query.get("limit")
        if not since.isdecimal() or not (limit is None or limit.isdecimal()):
            return json_answer(400, {"error": "since and limit are whole numbers from 0"})
        start, count = int(since), None if limit is None else int(limit)
        shown: dict[str, dict[str, Any]] = {}
        for simulator in self._chosen(query):
            ledger = simulator.ledger
            shown[simulator.key] = ledger.summary()
            if query.get("ids") == "1":
                shown[simulator.key]["ids"] = ledger.event_ids(start, count)
            if query.get("records") == "1":
                shown[simulator.key]["rows"] = ledger.rows(start, count)
            if query.get("payloads") == "1":
                shown[simulator.key]["payloads"] = ledger.payloads()
        return json_answer(200, shown)

    def _clear_ledger(self, query: Mapping[str, str], _body: bytes) -> SimulatedResponse:
        for simulator in self._chosen(query):
            simulator.clear()
        return json_answer(200, {"status": "cleared"})

    def _show_faults(self, _query: Mapping[str, str], _body: bytes) -> SimulatedResponse:
        return json_answer(200, self._faults.show())

    def _set_faults(self, query: Mapping[str, str], body: bytes) -> SimulatedResponse:
        try:
            self._faults.set(*read_faults(msgspec.json.decode(body)))
        except (SettingsError, msgspec.DecodeError) as error:
            return json_answer(400, {"error": str(error)})
        return self._show_faults(query, body)

    def _clear_faults(self, query: Mapping[str, str], body: bytes) -> SimulatedResponse:
        self._faults.clear(query.get("vendor"))
        return self._show_faults(query, body)

    def _moved(self, _query: Mapping[str, str], _body: bytes) -> SimulatedResponse:
        return html_page(200, "This page is here, and stores nothing")
