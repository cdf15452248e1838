"""Miso's simulator: ``POST`` and ``DELETE /v1/interactions``.

Keys: any is taken as a secret key, but one that starts with ``sandbox-invalid`` (401),
``sandbox-publishable`` (403, as to every caller that is no browser) or ``sandbox-playground``
(400). With a key that starts with ``sandbox-strict`` it also refuses what only the page on uploads
rules out: a rating outside 0 to 5, a negative duration, quantities that are no list of positive
integers.
What Miso takes although it breaks a rule of this project is flagged in the ledger:
``no_visitor`` (neither id: Miso would make one up from the caller's address), ``no_event_id``,
``no_timestamp``, ``no_product``, ``untruncated_ip``, ``unknown_context``.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from streams.lab.sandbox.exchange import Call, SimulatedResponse, encode_json, json_answer
from streams.lab.sandbox.faults import FaultKind, SimulatedRefusal
from streams.lab.sandbox.ledger import Ledger
from streams.lab.sandbox.miso_records import Problem, facts_of, page_problems, record_problems

INVALID_KEY = "sandbox-invalid"
PUBLISHABLE_KEY = "sandbox-publishable"
PLAYGROUND_KEY = "sandbox-playground"
STRICT_KEY = "sandbox-strict"

_SUCCESS = b'{"message":"success"}'
_INVALID_KEY_BODY = b'{"message":"invalid api key."}'
_BOT_BODY = (
    b'{"message":"Request is denied due to bot blocking. Please only access this API from a real '
    b'browser or use Secret API Key instead."}'
)
_PLAYGROUND_BODY = b'{"message":"Data cannot be uploaded to a playground environment."}'
_NONE_INSERTED = (
    "None of the records were inserted because at least one of them contained schema errors. "
    "Please see the `data` field for details."
)
_FAILURES = {
    401: _INVALID_KEY_BODY,
    403: _BOT_BODY,
    429: b'{"message":"Too many requests."}',
    400: b'{"message":"Request timeout."}',
}
_decode = msgspec.json.Decoder().decode


class MisoSimulator:
    """Judges interactions as Miso's API description says, all or nothing, and keeps the ledger."""

    key = "miso"
    name = "Miso"
    paths: tuple[str, ...] = ("/v1/interactions",)

    def __init__(self) -> None:
        self.ledger = Ledger()

    def clear(self) -> None:
        """Forget everything that was stored."""
        self.ledger.clear()

    def failure_body(self, status: int) -> bytes:
        """Return the JSON body with which Miso's errors of this status come."""
        return _FAILURES.get(status) or encode_json({"message": f"Error {status}."})

    def example_environment(self, url: str) -> list[str]:
        """Return the settings, as NAME=value, with which a worker sends to this simulator."""
        return [f"STREAMS_MISO_BASE_URL={url}", "STREAMS_MISO_API_KEY=sandbox-secret"]

    def answer(self, call: Call) -> SimulatedResponse:
        """Judge the call, store what is accepted, and return Miso's answer."""
        if call.path != "/v1/interactions":
            return json_answer(404, {"detail": "Not Found"})
        if call.method not in ("POST", "DELETE"):
            return json_answer(405, {"detail": "Method Not Allowed"})
        key = call.headers.get("X-API-KEY") or call.query.get("api_key") or ""
        if not key or key.startswith(INVALID_KEY):
            return SimulatedResponse(401, _INVALID_KEY_BODY)
        if key.startswith(PUBLISHABLE_KEY):
            return SimulatedResponse(403, _BOT_BODY)
        if key.startswith(PLAYGROUND_KEY):
            return SimulatedResponse(400, _PLAYGROUND_BODY)
        is_strict = key.startswith(STRICT_KEY)
        try:
            content = _decode(call.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _unprocessable(["body"], str(error), "value_error.jsondecode")
        if call.method == "DELETE":
            return self._delete(content)
        return self._upload(content, call, page_problems if is_strict else record_problems)

    def _delete(self, content: Any) -> SimulatedResponse:
        user_ids = content.get("user_ids") if type(content) is dict else None
        if user_ids is None:
            return _unprocessable(["body", "user_ids"], "field required", "value_error.missing")
        if type(user_ids) is not list or not all(type(user_id) is str for user_id in user_ids):
            return _unprocessable(
                ["body", "user_ids"], "value is not a valid list", "type_error.list"
            )
        self.ledger.erase_users(user_ids)
        return SimulatedResponse(200, _SUCCESS)

    def _upload(
        self, content: Any, call: Call, problems_of_record: Callable[[Any], list[Problem]]
    ) -> SimulatedResponse:
        if type(content) is not dict or "data" not in content:
            return _unprocessable(["body", "data"], "field required", "value_error.missing")
        records = content["data"]
        if type(records) is not list:
            return _unprocessable(["body", "data"], "value is not a valid list", "type_error.list")
        if not records:
            return self._refuse(call, 0, ["data is invalid. The attribute should not be empty."])
        lines: list[str] = []
        wrong = 0
        for index, record in enumerate(records):
            problems = problems_of_record(record)
            if problems:
                wrong += 1
                lines += [f"data.{index}{path} is invalid. {reason}" for path, reason in problems]
        if lines:
            return self._refuse(call, wrong, lines)
        return self._accept(call, records)

    def _accept(self, call: Call, records: list[Any]) -> SimulatedResponse:
        facts = [facts_of(record) for record in records]
        if call.refusals:
            refusal = call.refusals.among([fact.products for fact in facts])
            if refusal is not None:
                return self._refuse_on_demand(call, refusal)
        if call.query.get("dry_run", "").lower() in ("1", "true"):
            self.ledger.dry_run_records += len(records)
            return SimulatedResponse(200, _SUCCESS)
        for index, (record, fact) in enumerate(zip(records, facts, strict=True)):
            self.ledger.store(
                request=call.number,
                at=call.at,
                type_=fact.type_,
                event_id=fact.event_id,
                anonymous_id=fact.anonymous_id,
                user_id=fact.user_id,
                payload=record,
            )
            for rule in fact.broken:
                self.ledger.flag(rule, request=call.number, index=index)
        return SimulatedResponse(200, _SUCCESS)

    def _refuse(
        self, call: Call, records: int, lines: list[str], status: int = 422
    ) -> SimulatedResponse:
        self.ledger.refuse(request=call.number, records=records, lines=lines)
        return json_answer(status, {"errors": True, "message": _NONE_INSERTED, "data": lines})

    def _refuse_on_demand(self, call: Call, refusal: SimulatedRefusal) -> SimulatedResponse:
        if refusal.kind is FaultKind.REFUSE_UNREADABLE:
            return self._refuse(call, 0, ["At least one record could not be inserted."])
        lines = [
            f"data.{index}.product_ids is invalid. The product '{sku}' is refused by this sandbox."
            for index, sku in refusal.skus.items()
        ]
        status = 200 if refusal.kind is FaultKind.ERRORS_TRUE else 422
        return self._refuse(call, len(lines), lines, status)


def _unprocessable(location: list[str], message: str, type_: str) -> SimulatedResponse:
    """Return the vendor's HTTPValidationError, for a body that holds no records to judge."""
    return json_answer(422, {"detail": [{"loc": location, "msg": message, "type": type_}]})
