"""What stands around a shop's rows: nothing, a Debezium change event, Kafka Connect's envelope."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from streams.core.errors import InvalidEvent
from streams.core.events import json_name
from streams.core.outcome import DeadLetterReason


class Present(NamedTuple):
    """The record that expressions see."""

    record: dict[str, Any]


class Deleted(NamedTuple):
    """A row was deleted; what it was where the record tells, for the expressions."""

    before: dict[str, Any] | None
    by_envelope: bool
    """Whether an envelope says so; else the record has no value."""


class Nothing(NamedTuple):
    """The record says nothing of a row: why it is skipped; None: it is mapped by no section."""

    skip: str | None


Unwrapped = Present | Deleted | Nothing
DEBEZIUM_SKIP = "debezium"
"""Why the record without a value that follows each of Debezium's deletes is skipped."""

FLAT = "__deleted"
"""Debezium writes it into records that it flattens, if deletes are not to be dropped."""


def _plain(value: Any) -> Unwrapped:
    return Deleted(None, by_envelope=False) if value is None else Present(_object(value))


def _connect(value: Any) -> Unwrapped:
    if value is None:
        return Deleted(None, by_envelope=False)
    record = _object(value)
    if "payload" not in record:
        raise _misfit("it has no payload: is it in Kafka Connect's envelope?")
    payload = record["payload"]
    return Deleted(None, by_envelope=True) if payload is None else Present(_object(payload))


def _debezium(value: Any) -> Unwrapped:
    if value is None:
        return Nothing(DEBEZIUM_SKIP)
    event = _object(value)
    if FLAT not in event and "op" not in event and type(event.get("payload")) is dict:
        event = event["payload"]  # Connect's envelope around it, where schemas are on
    if FLAT in event:
        is_gone = str(event[FLAT]).lower() == "true"
        return Deleted(event, by_envelope=True) if is_gone else Present(event)
    op = event.get("op")
    if op == "d":
        before = event.get("before")
        return Deleted(before if type(before) is dict and before else None, by_envelope=True)
    if op in ("c", "u", "r"):
        if event.get("after") is None:
            raise _misfit(f'its op is "{op}", and it has no after')
        return Present(_object(event["after"]))
    if op in ("t", "m"):  # a truncated table, a message of the database's log
        return Nothing(None)
    raise _misfit("its op is none of c, u, r, d, t, m: is it a change event of Debezium?")


UNWRAP: Mapping[str, Callable[[Any], Unwrapped]] = {
    "none": _plain,
    "debezium": _debezium,
    "connect": _connect,
}
"""By envelope: value → what it says; raises InvalidEvent. None stands for no value."""


def _object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise InvalidEvent(
            DeadLetterReason.INVALID_JSON, f"a JSON {json_name(value)}, not an object"
        )
    return value


def _misfit(detail: str) -> InvalidEvent:
    return InvalidEvent(DeadLetterReason.INVALID_FIELD, f"envelope: {detail}", "envelope")
