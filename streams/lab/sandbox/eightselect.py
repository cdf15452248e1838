"""8SELECT's simulator: ``POST /analytics/v3/events`` and ``/analytics/v3/events/validate``.

Ids: any is taken as an account's, but one that starts with ``sandbox-invalid`` (403); none is 401.
8SELECT documents no status of either endpoint. Here ``/events`` answers 200 with an empty object or
400 with Ajv's errors, ``/validate`` 200 with Ajv's errors, none if there are none.

An order whose id was stored before is answered in the same way and not stored: 8SELECT filters
duplicates of orders.

8SELECT has no field for an event id: what stands in the ledger in its place is ``digest`` of the
event. Equal interactions of one visitor have equal digests, so ``duplicates`` counts these too;
exact is the comparison of how often each digest was stored with how often it was to be sent.

What 8SELECT takes although it breaks a rule of this project is flagged in the ledger:
``no_content`` (billed, although it may not be its doing), ``no_action``.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from streams.lab.sandbox.eightselect_schema import Error, error, event_errors
from streams.lab.sandbox.exchange import Call, SimulatedResponse, encode_json, json_answer
from streams.lab.sandbox.faults import FaultKind, SimulatedRefusal
from streams.lab.sandbox.ledger import Ledger

INVALID_ID = "sandbox-invalid"
IDS_ARE = "digests of the events: 8SELECT has no field for our event id"

_PATH = "/analytics/v3/events"
_VALIDATE = f"{_PATH}/validate"
_FAILURES = {
    401: b'{"message":"Unauthorized"}',
    403: b'{"message":"Forbidden"}',
    429: b'{"message":"Too Many Requests"}',
}
_decode = msgspec.json.Decoder().decode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def digest(event: Any) -> str:
    """Return what an event is told by: 32 hex digits of SHA-256 over its JSON, members sorted."""
    return hashlib.sha256(_encode_sorted(event)).hexdigest()[:32]


class RequestFacts(NamedTuple):
    """What the ledger keeps of an event beside its user."""

    type: str
    action: str
    sku: str
    """Of an order, the first line's."""
    content: str
    """``type/id`` of the content it happened in, or that was viewed."""


class EightSelectLedger(Ledger):
    """The ledger with the columns that tell 8SELECT's events apart."""

    def clear(self) -> None:
        """Forget everything, the request count included."""
        super().clear()
        self.repeated_orders = 0
        """Orders that were left out, since their id was stored before."""
        self._orders: set[str] = set()
        self._facts: list[RequestFacts] = []
        self._known: dict[RequestFacts, RequestFacts] = {}

    def add(self, call: Call, event: Mapping[str, Any]) -> None:
        """Append one accepted event, and flag what it breaks of our own rules.

        An order that is there already is left out.
        """
        if event["type"] == "order":
            if event["order"]["id"] in self._orders:
                self.repeated_orders += 1
                return
            self._orders.add(event["order"]["id"])
        facts = facts_of(event)
        self._facts.append(self._known.setdefault(facts, facts))
        self.store(
            request=call.number,
            at=call.at,
            type_=facts.action or facts.type,
            event_id=digest(event),
            anonymous_id="",
            user_id=_member(event, "user").get("id", ""),
            payload=event,
        )
        for rule in broken_rules(facts):
            self.flag(rule, request=call.number, index=0)

    def rows(self, since: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the stored events from a position on, one dict each, without payloads."""
        rows = super().rows(since, limit)
        for row in rows:
            row.update(self._facts[row["position"]]._asdict())
        return rows

    def summary(self) -> dict[str, Any]:
        """Return the sums of the ledger, ready for JSON; bounded in size."""
        return super().summary() | {"ids_are": IDS_ARE, "repeated_orders": self.repeated_orders}


def facts_of(event: Mapping[str, Any]) -> RequestFacts:
    """Return the facts of an event that the schema found acceptable."""
    type_ = event["type"]
    payload = event[type_]
    if type_ == "order":
        return RequestFacts(type_, "", payload["lines"][0]["sku"], "")
    content = payload if type_ == "view" else _member(event, "content")
    kind = content.get("type")
    shown = f"{kind}/{content[kind]['id']}" if kind else ""
    if type_ == "view":
        return RequestFacts(type_, "", "", shown)
    return RequestFacts(type_, payload.get("action", ""), payload["product"]["sku"], shown)


def broken_rules(facts: RequestFacts) -> list[str]:
    """Return the rules of ours that an acceptable event breaks."""
    if facts.type != "interact":
        return []
    rules = []
    if not facts.content:
        rules.append("no_content")
    if not facts.action:
        rules.append("no_action")
    return rules


def _member(event: Mapping[str, Any], type_: str) -> Mapping[str, Any]:
    """Return the payload of the context entry of this type; empty where there is none."""
    for entry in event.get("context", ()):
        if entry["type"] == type_:
            payload: Mapping[str, Any] = entry[type_]
            return payload
    return {}


class EightSelectSimulator:
    """Judges events as 8SELECT's pages say, and keeps the ledger."""

    key = "eightselect"
    name = "8SELECT"
    paths: tuple[str, ...] = (_PATH,)

    def __init__(self) -> None:
        self._ledger = EightSelectLedger()
        self.ledger: Ledger = self._ledger

    def clear(self) -> None:
        """Forget everything that was stored."""
        self.ledger.clear()

    def failure_body(self, status: int) -> bytes:
        """Return the JSON body with which errors of this status come."""
        return _FAILURES.get(status) or encode_json({"message": f"Error {status}"})

    def example_environment(self, url: str) -> list[str]:
        """Return the settings, as NAME=value, with which workers send to this simulator."""
        return [
            f"STREAMS_EIGHTSELECT_BASE_URL={url}",
            "STREAMS_EIGHTSELECT_API_ID=sandbox-id",
            "STREAMS_EIGHTSELECT_USER_ID_SECRET=sandbox-user-id-secret",
        ]

    def answer(self, call: Call) -> SimulatedResponse:
        """Judge the call, store what is accepted, and return 8SELECT's answer."""
        unheard = _unheard(call)
        if unheard is not None:
            return unheard
        try:
            event = _decode(call.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            self.ledger.refuse(request=call.number, records=1, lines=[str(problem)])
            return json_answer(400, {"message": f"Invalid JSON: {problem}"})
        errors = event_errors(event)
        if errors:
            return self._refuse(call, errors)
        if call.refusals:
            refusal = call.refusals.among([skus_of(event)])
            if refusal is not None:
                return self._refuse_on_demand(call, refusal)
        if call.path == _VALIDATE:
            self.ledger.dry_run_records += 1
            return SimulatedResponse(200, b"[]")
        self._ledger.add(call, event)
        return SimulatedResponse(200, b"{}")

    def _refuse(self, call: Call, errors: list[Error]) -> SimulatedResponse:
        lines = [f"{problem['instancePath']} {problem['message']}".strip() for problem in errors]
        self.ledger.refuse(request=call.number, records=1, lines=lines)
        return json_answer(200 if call.path == _VALIDATE else 400, errors)

    def _refuse_on_demand(self, call: Call, refusal: SimulatedRefusal) -> SimulatedResponse:
        if refusal.kind is FaultKind.REFUSE_UNREADABLE:
            self.ledger.refuse(request=call.number, records=1, lines=["Bad Request"])
            return json_answer(400, {"message": "Bad Request"})
        refused = error(
            "/interact/product/sku",
            "/definitions/Product/properties/sku",
            "not",
            {},
            f"must be taken by this sandbox: '{refusal.skus[0]}' is refused",
        )
        answer = self._refuse(call, [refused])
        if refusal.kind is FaultKind.ERRORS_TRUE:
            return json_answer(200, {"errors": [refused]})
        return answer


def _unheard(call: Call) -> SimulatedResponse | None:
    """Return the answer to a call whose body is not even looked at, or None."""
    if call.path not in (_PATH, _VALIDATE):
        return json_answer(404, {"message": "Not Found"})
    if call.method != "POST":
        return json_answer(405, {"message": "Method Not Allowed"})
    api_id = call.headers.get("x-api-id", "")
    if not api_id:
        return SimulatedResponse(401, _FAILURES[401])
    if api_id.startswith(INVALID_ID):
        return SimulatedResponse(403, _FAILURES[403])
    if not _is_json(call.headers.get("Content-Type", "")):
        return json_answer(415, {"message": "Unsupported Media Type"})
    return None


def skus_of(event: Mapping[str, Any]) -> list[str]:
    """Return the SKUs that an acceptable event names."""
    payload = event[event["type"]]
    if event["type"] == "order":
        return [line["sku"] for line in payload["lines"]]
    return [payload["product"]["sku"]] if event["type"] == "interact" else []


def _is_json(content_type: str) -> bool:
    kind, _, rest = content_type.partition(";")
    charset = rest.strip().lower().removeprefix("charset=").strip('"')
    return kind.strip().lower() == "application/json" and charset in ("", "utf-8")
