"""Voyado Engage's simulator: contact look-up, interactions and their schemas under ``/api/v3``.

Without ``Content-Type: application/json`` every call is answered 500 "An error has occurred", as
Voyado does. Keys: any will do, but one that starts with ``sandbox-invalid`` (401) or
``sandbox-forbidden`` (403). Contacts: see ``voyado_contacts``. An interaction that breaks its
schema's rules is answered with success and an id (without one: ``names_ignored``), and not stored:
the ledger counts it as ``ignored``. A deleted schema is remembered: one of the same id that lacks
any of its properties is refused as not backward compatible. Above 200 requests of one key within a
second, the answer is 429.
What Voyado takes although it breaks a rule of this project is flagged in the ledger:
``no_event_id``, ``no_product_sku``, ``no_created_date``, ``dropped_property``,
``above_advised_rate``.
"""

import re
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from streams.lab.sandbox.exchange import Call, SimulatedResponse, encode_json, json_answer
from streams.lab.sandbox.faults import FaultKind, SimulatedRefusal
from streams.lab.sandbox.ledger import Ledger
from streams.lab.sandbox.voyado_contacts import is_known, look_up
from streams.lab.sandbox.voyado_interactions import Interactions, Stored, made_id
from streams.lab.sandbox.voyado_ledger import VoyadoLedger
from streams.lab.sandbox.voyado_schemas import (
    MAX_SCHEMAS,
    default_schemas,
    judge_payload,
    removed_properties,
    schema_problem,
)
from streams.lab.sandbox.voyado_texts import error, is_date_time, is_guid

INVALID_KEY = "sandbox-invalid"
FORBIDDEN_KEY = "sandbox-forbidden"
MAX_PER_SECOND = 200
ADVISED_PER_SECOND = 50

_PREFIX = "/api/v3/"
_USER_AGENT = re.compile(r"[^\s/]+/[^\s/]\S*(?: .*)?")
_FAILURES = {
    401: b'{"message":"Authorization has been denied for this request."}',
    403: b'{"message":"Forbidden."}',
    429: b'{"message":"Too many requests."}',
    500: b'{"message":"An error has occurred"}',
}
_decode = msgspec.json.Decoder().decode


class VoyadoSimulator:
    """Judges calls as Voyado's pages say, ignores what Voyado ignores, and keeps the ledger."""

    key = "voyado"
    name = "Voyado Engage"
    paths: tuple[str, ...] = (_PREFIX,)

    def __init__(self, *, max_per_second: int = MAX_PER_SECOND) -> None:
        self._ledger = VoyadoLedger()
        self.ledger: Ledger = self._ledger
        self.max_per_second = max_per_second
        """Requests of one key within a second; above it, 429."""
        self.list_form: Literal["items", "data"] = "items"
        """How lists of interactions look: as in v2's description, or as a v3 client reads them."""
        self.names_ignored = True
        """Whether an interaction that is ignored is answered with an id all the same."""
        self.schemas = default_schemas()
        """Registered schemas by id."""
        self._deleted: dict[str, dict[str, Any]] = {}
        """Deleted schemas by id, the newest of each."""
        self._interactions = Interactions()
        self._recent: dict[str, deque[float]] = {}
        self._routes: dict[tuple[str, str, bool], Callable[[Call, str], SimulatedResponse]] = {
            ("GET", "contacts", True): self._look_up,
            ("POST", "interactions", False): self._create,
            ("GET", "interactions", False): self._list,
            ("GET", "interactions", True): self._show,
            ("DELETE", "interactions", True): self._delete,
            ("POST", "interactionschemas", False): self._create_schema,
            ("GET", "interactionschemas", False): self._list_schemas,
            ("GET", "interactionschemas", True): self._show_schema,
            ("DELETE", "interactionschemas", True): self._delete_schema,
        }

    def clear(self) -> None:
        """Forget every interaction; schemas stay."""
        self._ledger.clear()
        self._interactions = Interactions()

    def failure_body(self, status: int) -> bytes:
        """Return the JSON body with which Voyado's errors of this status come."""
        return _FAILURES.get(status) or encode_json({"message": f"Error {status}."})

    def example_environment(self, url: str) -> list[str]:
        """Return the settings, as NAME=value, with which a worker sends to this simulator."""
        return [
            f"STREAMS_VOYADO_BASE_URL={url}",
            "STREAMS_VOYADO_API_KEY=sandbox-secret",
            "STREAMS_VOYADO_USER_AGENT=SandboxShop/1.0",
            "STREAMS_VOYADO_CLICK_SCHEMA_ID=productClick",
            "STREAMS_VOYADO_ADD_TO_CART_SCHEMA_ID=addToCart",
        ]

    def answer(self, call: Call) -> SimulatedResponse:
        """Judge the call, store what is accepted, and return Voyado's answer."""
        content_type = call.headers.get("Content-Type") or ""
        if content_type.partition(";")[0].strip().lower() != "application/json":
            return self._failure(500)
        key = call.headers.get("apikey") or ""
        if not key or key.startswith(INVALID_KEY):
            return self._failure(401)
        if key.startswith(FORBIDDEN_KEY):
            return self._failure(403)
        if not self._within_rate(key, call):
            return self._failure(429)
        if _USER_AGENT.fullmatch(call.headers.get("User-Agent") or "") is None:
            return error(400, "InvalidUserAgent", "User-Agent must be of the form Name/Version.")
        kind, slash, id_ = call.path.removeprefix(_PREFIX).partition("/")
        route = self._routes.get((call.method, kind, bool(slash)))
        if route is not None and "/" not in id_ and (kind != "contacts" or id_ == "id"):
            return route(call, id_)
        if any(kind == known and bool(slash) is one for _, known, one in self._routes):
            return error(405, "MethodNotAllowed", f"{call.method} is not allowed here.")
        return error(404, "NotFound", "There is no such endpoint.")

    def _failure(self, status: int) -> SimulatedResponse:
        return SimulatedResponse(status, self.failure_body(status))

    def _within_rate(self, key: str, call: Call) -> bool:
        recent = self._recent.setdefault(key, deque())
        while recent and recent[0] <= call.at - 1.0:
            recent.popleft()
        if len(recent) >= self.max_per_second:
            return False
        recent.append(call.at)
        count = len(recent)
        self._ledger.busiest_second = max(self._ledger.busiest_second, count)
        if count > ADVISED_PER_SECOND:
            self._ledger.flag("above_advised_rate", request=call.number, index=0)
        return True

    # -- contacts and interactions

    def _look_up(self, call: Call, _id: str) -> SimulatedResponse:
        return look_up(call.query)

    def _create(self, call: Call, _id: str) -> SimulatedResponse:
        try:
            body = _decode(call.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return error(400, "InvalidJson", "The body is no JSON.")
        if type(body) is not dict:
            return error(400, "InvalidBody", "The body must be an object.")
        contact_id, schema_id = body.get("contactId", ""), body.get("schemaId")
        if not is_guid(contact_id):
            return error(400, "InvalidContactId", "contactId must be a GUID.")
        if type(schema_id) is not str or not schema_id:
            return error(400, "InvalidSchemaId", "schemaId is required.")
        created = body.get("createdDate")
        if created is not None and not is_date_time(created):
            return error(400, "InvalidCreatedDate", "createdDate must be ISO 8601.")
        schema = self.schemas.get(schema_id)
        if schema is None:
            return error(404, "SchemaNotFound", f"Schema '{schema_id}' not found.")
        if not is_known(contact_id):
            return error(404, "ContactNotFound", "The contact was not found.")
        refusal = call.refusals.among([_skus(body.get("payload"))]) if call.refusals else None
        if refusal is not None:
            return self._refuse_on_demand(call, refusal)
        return self._store(call, contact_id.lower(), schema, created, body.get("payload"))

    def _store(
        self, call: Call, contact_id: str, schema: dict[str, Any], created: str | None, payload: Any
    ) -> SimulatedResponse:
        verdict = judge_payload(payload, schema["jsonSchema"])
        now = datetime.fromtimestamp(call.at, UTC).isoformat()
        if verdict.ignored is not None:
            self._ledger.ignore(request=call.number, why=verdict.ignored)
            if not self.names_ignored:
                return json_answer(200, {})
            return _created(made_id(f"ignored/{call.number}"), contact_id, now)
        event_id = verdict.kept.get("eventId")
        kept = encode_json(verdict.kept)
        stored = Stored(len(self._ledger), contact_id, schema["id"], created or now, kept)
        self._ledger.store(
            request=call.number,
            at=call.at,
            type_=schema["id"],
            event_id=event_id if type(event_id) is str else "",
            anonymous_id="",
            user_id=contact_id,
            payload=_decode(call.body),
        )
        for rule, is_broken in (
            ("no_event_id", not event_id),
            ("no_product_sku", not verdict.kept.get("productSku")),
            ("no_created_date", created is None),
            ("dropped_property", bool(verdict.dropped)),
        ):
            if is_broken:
                self._ledger.flag(rule, request=call.number, index=0)
        self._ledger.dropped_properties.update(verdict.dropped)
        return _created(self._interactions.add(stored), contact_id, now)

    def _refuse_on_demand(self, call: Call, refusal: SimulatedRefusal) -> SimulatedResponse:
        words = f"The product '{refusal.skus[0]}' is refused by this sandbox."
        if refusal.kind is FaultKind.REFUSE_UNREADABLE:
            words = "The interaction is invalid."
        self._ledger.refuse(request=call.number, records=1, lines=[words])
        if refusal.kind is FaultKind.ERRORS_TRUE:
            return json_answer(200, {"errors": True, "message": words})
        return error(400, "InvalidInteraction", words)

    def _list(self, call: Call, _id: str) -> SimulatedResponse:
        contact_id, schema_id = call.query.get("contactId", ""), call.query.get("schemaId", "")
        if not is_guid(contact_id) or not schema_id:
            return error(400, "InvalidQuery", "contactId and schemaId are required.")
        if schema_id not in self.schemas:
            return error(404, "SchemaNotFound", f"Schema '{schema_id}' not found.")
        page = self._interactions.page(
            contact_id.lower(), schema_id, call.query.get("continuation"), self.list_form
        )
        if page is None:
            return error(400, "InvalidContinuation", "The continuation token is invalid.")
        return json_answer(200, page)

    def _show(self, _call: Call, id_: str) -> SimulatedResponse:
        stored = self._interactions.get(id_)
        if stored is None:
            return error(404, "InteractionNotFound", "The interaction was not found.")
        return json_answer(200, stored.shown(id_))

    def _delete(self, _call: Call, id_: str) -> SimulatedResponse:
        stored = self._interactions.delete(id_)
        if stored is None:
            return error(404, "InteractionNotFound", "The interaction was not found.")
        self._ledger.erase(stored.position)
        return SimulatedResponse(204, b"")

    # -- schemas

    def _create_schema(self, call: Call, _id: str) -> SimulatedResponse:
        try:
            schema = _decode(call.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return error(400, "InvalidJson", "The body is no JSON.")
        problem = schema_problem(schema)
        if problem is not None:
            return error(400, "InvalidSchema", problem)
        if schema["id"] in self.schemas:
            return error(409, "SchemaExists", f"Schema '{schema['id']}' exists already.")
        if len(self.schemas) >= MAX_SCHEMAS:
            return error(400, "TooManySchemas", f"There can be at most {MAX_SCHEMAS} schemas.")
        removed = removed_properties(self._deleted.get(schema["id"]), schema)
        if removed:
            words = f"Not backward compatible with the deleted schema: {', '.join(removed)}."
            return error(400, "IncompatibleSchema", words)
        known = {name: schema[name] for name in ("id", "displayName", "jsonSchema")}
        self.schemas[schema["id"]] = known
        return json_answer(200, known)

    def _list_schemas(self, _call: Call, _id: str) -> SimulatedResponse:
        return json_answer(200, list(self.schemas.values()))

    def _show_schema(self, _call: Call, id_: str) -> SimulatedResponse:
        schema = self.schemas.get(id_)
        if schema is None:
            return error(404, "SchemaNotFound", f"Schema '{id_}' not found.")
        return json_answer(200, schema)

    def _delete_schema(self, _call: Call, id_: str) -> SimulatedResponse:
        schema = self.schemas.pop(id_, None)
        if schema is None:
            return error(404, "SchemaNotFound", f"Schema '{id_}' not found.")
        self._deleted[id_] = schema
        for stored in self._interactions.delete_schema(id_):
            self._ledger.erase(stored.position)
        return SimulatedResponse(204, b"")


def _created(id_: str, contact_id: str, created: str) -> SimulatedResponse:
    href = f"/api/v3/interactions/{id_}"
    content = {"id": id_, "self": {"contactId": contact_id, "href": href, "created": created}}
    return json_answer(200, content)


def _skus(payload: Any) -> tuple[str, ...]:
    sku = payload.get("productSku") if type(payload) is dict else None
    return (sku,) if type(sku) is str else ()
