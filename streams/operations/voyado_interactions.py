"""Interactions of Voyado out to JSON lines and back: the way to change a schema and keep them.

An export has a line for each interaction, as Voyado shows it. An import keeps ``createdDate``, and
can be stopped and run again: what is stored already is known by its ``eventId``.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from streams.clients import (
    InvalidRequest,
    RequestRejected,
    RequestUnclear,
    VendorError,
    Voyado,
)
from streams.clients.errors import problems_of
from streams.core.errors import SetupError
from streams.vendors.voyado import VENDOR
from streams.vendors.voyado.api import NOT_FOUND
from streams.vendors.voyado.models import NewInteraction, StoredInteraction
from streams.vendors.voyado.schema import EVENT_ID

T = TypeVar("T")

AUTOMATIONS = (
    "Automations for new interactions run for each of them, also for customers who went through "
    "them before: pause them in Voyado Engage first."
)


async def export_interactions(
    voyado: Voyado, contacts: Iterable[str], schema_ids: Sequence[str], unknown: list[str]
) -> AsyncIterator[StoredInteraction]:
    """Yield all interactions of these contacts and schemas; raises VendorError.

    Contacts that Voyado does not have are added to ``unknown``. Raises SetupError where there is no
    such schema, before anything is yielded.
    """
    for schema_id in schema_ids:
        if await voyado.get_schema(schema_id) is None:
            raise SetupError(
                f"Voyado has no schema {schema_id}: see `streams voyado-schemas list`."
            )
    for contact in contacts:
        for schema_id in schema_ids:
            try:
                found = await _patient(voyado, lambda: voyado.list_interactions(contact, schema_id))  # noqa: B023 - awaited here
            except RequestRejected as error:
                if error.status != NOT_FOUND:
                    raise
                unknown.append(contact)
                break
            for interaction in found:
                yield interaction


def line_of(interaction: StoredInteraction) -> str:
    """Return the line of an export."""
    return json.dumps(interaction.model_dump(by_alias=True), ensure_ascii=False)


def read_export(lines: Iterable[str], schema_id: str | None = None) -> list[NewInteraction]:
    """Return the interactions of an export; ``schema_id``: another schema than they had.

    One without an ``eventId`` gets its former id as such. Raises InvalidRequest with everything
    that is wrong, by line, counted from 1.
    """
    found: list[NewInteraction] = []
    problems: dict[int, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(_read_line(line, schema_id))
        except ValidationError as error:
            problems[number] = problems_of(error)
        except ValueError as error:
            problems[number] = str(error)
    if problems:
        raise InvalidRequest(problems, "line")
    return found


def _read_line(line: str, schema_id: str | None) -> NewInteraction:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if type(document) is not dict or type(document.get("payload")) is not dict:
        raise ValueError("it is no interaction: it must be an object with a payload")
    wanted: dict[str, Any] = {
        name: document[name]
        for name in ("contactId", "schemaId", "createdDate")
        if document.get(name) is not None
    }
    if "createdDate" not in wanted:
        raise ValueError("createdDate is missing: Voyado would take the time of the import")
    payload: Mapping[str, Any] = {
        name: value for name, value in document["payload"].items() if value is not None
    }
    if not payload.get(EVENT_ID):
        if not isinstance(document.get("id"), str):
            raise ValueError(f"neither payload.{EVENT_ID} nor id is there")
        payload = {EVENT_ID: document["id"], **payload}
    if schema_id is not None:
        wanted["schemaId"] = schema_id
    return NewInteraction.model_validate(wanted | {"payload": payload})


@dataclass(slots=True)
class ImportResult:
    """What became of the interactions of an import."""

    stored: int = 0
    were_there: int = 0
    left_out: set[str] = field(default_factory=set)
    """Properties that the schema does not have."""
    refused: dict[int, str] = field(default_factory=dict)
    """By position in the list, from 0: why."""


async def check_import(voyado: Voyado, interactions: Sequence[NewInteraction]) -> None:
    """Raise SetupError where a schema is missing, or cannot hold what tells repeats apart."""
    for schema_id in dict.fromkeys(one.schema_id for one in interactions):
        schema = await voyado.get_schema(schema_id)
        if schema is None:
            raise SetupError(
                f"Voyado has no schema {schema_id}: create it with `streams voyado-schemas apply`."
            )
        if schema.is_readable and EVENT_ID not in schema.properties:
            raise SetupError(
                f"The schema {schema_id} has no property {EVENT_ID}, by which an import that was "
                "stopped knows what is stored already. Add it before you create the schema."
            )


async def import_interactions(
    voyado: Voyado,
    interactions: Sequence[NewInteraction],
    report: Callable[[ImportResult], None] = lambda _: None,
) -> ImportResult:
    """Store what is not there yet, in order, with its ``createdDate``.

    What Voyado refuses, or would ignore, is in the result, and the others go on. Raises VendorError
    where Voyado fails for longer: run again, the import goes on where it stopped.
    """
    result = ImportResult()
    stored: dict[tuple[str, str], set[str | None]] = {}
    for position, new in enumerate(interactions):
        place = (new.contact_id.lower(), new.schema_id)
        try:
            if place not in stored:
                listed = await _patient(
                    voyado,
                    lambda: voyado.list_interactions(new.contact_id, new.schema_id),  # noqa: B023 - awaited here
                )
                stored[place] = {one.event_id for one in listed}
            if new.event_id in stored[place]:
                result.were_there += 1
            else:
                await _store(voyado, new, result)
                stored[place].add(new.event_id)
        except InvalidRequest as error:
            result.refused[position] = error.problems[0]
        except RequestRejected as error:
            result.refused[position] = str(error)
        report(result)
    return result


async def _store(voyado: Voyado, new: NewInteraction, result: ImportResult) -> None:
    """Store one; after a request without an answer it is looked for before it is sent again."""
    was_sent = False

    async def attempt() -> None:
        nonlocal was_sent
        try:
            created = await voyado.create_interaction(new, may_be_stored=was_sent)
        except RequestUnclear:
            was_sent = True
            raise
        result.stored += 1
        result.left_out.update(created.left_out)

    await _patient(voyado, attempt)


async def _patient(voyado: Voyado, attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until Voyado has judged it, with the waits of its retry policy; raises VendorError."""
    for wait in VENDOR.retry_waits:
        try:
            return await attempt()
        except VendorError as error:
            if not error.may_succeed_later:
                raise
            await voyado.sleep(max(wait, error.retry_after_seconds))
    return await attempt()
