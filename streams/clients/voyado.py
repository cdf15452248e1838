"""Voyado Engage's client: contacts, interactions and their schemas."""

import json
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from streams.clients.client import NOTHING_CHANGED, Client
from streams.clients.errors import (
    InvalidRequest,
    VendorError,
    encoded,
    problems_of,
)
from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import HttpRequest, HttpResponse
from streams.vendors.responses import UNREADABLE, is_page, one_line, read_json, text_of
from streams.vendors.voyado import VENDOR, api
from streams.vendors.voyado.contacts import read_contact
from streams.vendors.voyado.definition import (
    Definition,
    DefinitionError,
    id_problems,
    is_unicode,
    read_definition,
)
from streams.vendors.voyado.listing import judge_look_up, read_pages
from streams.vendors.voyado.memory import SCHEMA_SECONDS, ContactMemory
from streams.vendors.voyado.models import CreatedInteraction, NewInteraction, StoredInteraction
from streams.vendors.voyado.pages import InteractionPage, reference_of
from streams.vendors.voyado.registered import read_registered, registered_rows
from streams.vendors.voyado.schema import Schema, read_schema
from streams.vendors.voyado.settings import VoyadoSettings

T = TypeVar("T")
_LOOK_AT_SCHEMAS = "Look with `streams voyado-schemas plan` whether it was done."
_MAY_BE_STORED = "It may be stored: look for it before you send it again."
_NO_HARM = "Deleting again does no harm."


class Voyado(Client[VoyadoSettings]):
    """Voyado's interactions API, within ``requests_per_second``; never repeats a POST blindly."""

    vendor = VENDOR
    memory: ContactMemory
    forbidden = (
        "Interactions are a paid add-on, and access can be limited by address: ask Voyado what the "
        "key of {key} may do."
    )

    # -- contacts

    async def find_contact(
        self,
        *,
        custom_key: str | None = None,
        email: str | None = None,
        mobile_phone: str | None = None,
        social_security_number: str | None = None,
    ) -> str | None:
        """Return the id of the contact with this key; None: there is none. Give exactly one key.

        Raises RequestRejected if several contacts match or the key is invalid; VendorError.
        """
        keys = {
            "customKey": custom_key,
            "email": email,
            "mobilePhone": mobile_phone,
            "socialSecurityNumber": social_security_number,
        }
        given = [(key, str(value)) for key, value in keys.items() if value]
        if len(given) != 1:
            raise InvalidRequest({0: f"name exactly one of {', '.join(keys)}"}, "")
        _require_id(*given[0])
        doing = f"looking a contact up by {given[0][0]}"
        found = read_contact(await self.send(api.get_contact_id(*given[0], self.section)))
        if isinstance(found, Verdict):
            raise self.error_of(doing, found)
        if found.contact_id is None and found.status != api.NOT_FOUND:
            raise self.error_of(doing, Verdict(RequestOutcome.REJECTED, found.words, found.status))
        return found.contact_id

    # -- interactions

    async def create_interaction(
        self, interaction: NewInteraction | Mapping[str, Any], *, may_be_stored: bool = False
    ) -> CreatedInteraction:
        """Store an interaction, and return Voyado's id of it.

        It is first checked against the registered schema, because Voyado ignores an interaction
        that breaks it, without an error. After a request without a clear response, the interaction
        is looked up by its ``eventId``.

        ``may_be_stored``: an earlier call may have stored it, so it is looked up before it is sent.

        Raises:
            InvalidRequest: Voyado would ignore it; nothing was sent.
            RequestRejected: schema or contact does not exist, or Voyado refuses the interaction.
            RequestUnclear: it may be stored; without an ``eventId`` it cannot be looked up.
            VendorError: another failure; it is not stored.
        """
        new = _read_new(interaction)
        doing = f"storing an interaction of {new.schema_id}"
        schema = await self._schema(new.schema_id, doing)
        if (misfit := schema.misfit(new.payload)) is not None:
            raise InvalidRequest({0: f"schema {new.schema_id}: {misfit}"})
        left_out = tuple(schema.unlisted(new.payload))
        if may_be_stored and (stored := await self._look_for(new, doing)) is not None:
            return CreatedInteraction(id=stored, left_out=left_out, was_there=True)
        kept = {name: value for name, value in new.payload.items() if name not in left_out}
        body = encoded(new.model_copy(update={"payload": kept}))
        response = await self.send(api.build_request([body], self.section))
        verdict = api.classify(response, 1)
        if verdict.outcome is RequestOutcome.ACCEPTED and verdict.vendor_ref is not None:
            return CreatedInteraction(id=verdict.vendor_ref, left_out=left_out)
        if response.status == api.NOT_FOUND and not is_page(response):
            self.memory.schemas.forget(new.schema_id)
            await self._schema(new.schema_id, doing)
            verdict = replace(verdict, outcome=RequestOutcome.REJECTED)
        if verdict.outcome is RequestOutcome.UNCLEAR:
            stored = await self._look_for(new, doing)
            if stored is not None:
                return CreatedInteraction(id=stored, left_out=left_out)
        raise self.error_of(doing, verdict, again=_MAY_BE_STORED)

    async def get_interaction(self, interaction_id: str) -> StoredInteraction | None:
        """Return the interaction with this id; None: there is none.

        Raises InvalidRequest for a blank id; VendorError.
        """
        doing = f"reading the interaction {interaction_id}"
        request = api.PrivateRequest("GET", _path(interaction_id), self._headers, b"")
        response = await self.send(request)
        if response.status == api.NOT_FOUND and not is_page(response):
            return None
        document = read_json(response.body)
        if response.status not in api.SUCCESS or type(document) is not dict:
            raise self._unreadable(doing, response)
        return self._stored({"id": interaction_id} | document, doing, response)

    async def list_interactions(self, contact_id: str, schema_id: str) -> list[StoredInteraction]:
        """Return all interactions of a contact and schema, from all pages, in Voyado's order.

        Raises InvalidRequest for an invalid id, RequestRejected if contact or schema does not
        exist; VendorError.
        """
        _require_schema_id(schema_id)
        if api.is_guid(contact_id) is None:
            raise InvalidRequest({0: "the contact's id must be a GUID"}, "")
        doing = f"listing interactions of {schema_id}"
        items: list[Any] = []

        def visit(page: InteractionPage) -> None:
            items.extend(page.items)

        found = await self._run(read_pages(contact_id, schema_id, self.section, visit))
        if isinstance(found, Verdict):
            raise self.error_of(doing, found)
        asked = {"contactId": contact_id, "schemaId": schema_id}
        return [self._stored(asked | item, doing) for item in items if type(item) is dict]

    async def delete_interaction(self, interaction_id: str) -> bool:
        """Delete an interaction; return whether it was there.

        Raises InvalidRequest for a blank id; VendorError.
        """
        request = api.PrivateRequest("DELETE", _path(interaction_id), self._headers, b"")
        response = await self.send(request)
        if response.status == api.NOT_FOUND and not is_page(response):
            return False
        if response.status not in api.SUCCESS:
            doing = f"deleting the interaction {interaction_id}"
            raise self._unreadable(doing, response, again=_NO_HARM)
        return True

    # -- schemas

    async def list_schemas(self) -> list[Definition]:
        """Return every registered schema, in Voyado's order.

        A schema that the list only names is requested separately. Raises VendorError.
        """
        doing = "listing the interaction schemas"
        request = HttpRequest("GET", api.SCHEMAS, self._headers, b"")
        response = await self.send(request)
        rows = registered_rows(read_json(response.body))
        if response.status not in api.SUCCESS or rows is None:
            raise self._unreadable(doing, response)
        found: list[Definition] = []
        for row in rows:
            definition = read_registered({"id": row} if type(row) is str else row)
            if definition is None:
                raise self._unreadable(doing, response)
            if not definition.is_readable:
                definition = await self._registered(definition.id) or definition
            found.append(definition)
        return found

    async def get_schema(self, schema_id: str) -> Definition | None:
        """Return the schema with this id; None: there is none.

        Raises InvalidRequest for an invalid id; VendorError.
        """
        _require_schema_id(schema_id)
        return await self._registered(schema_id)

    async def _registered(self, schema_id: str) -> Definition | None:
        doing = f"reading the schema {schema_id}"
        response = await self.send(api.get_schema(schema_id, self.section))
        if response.status == api.NOT_FOUND and not is_page(response):
            return None
        document = read_json(response.body)
        # Without an id the answer is the schema itself.
        with_id = {"id": schema_id} | document if type(document) is dict else document
        definition = read_registered(with_id)
        if response.status not in api.SUCCESS or definition is None:
            raise self._unreadable(doing, response)
        return definition.named(schema_id)

    async def create_schema(self, schema: Definition | Mapping[str, Any]) -> None:
        """Register a schema; it cannot be changed afterwards.

        Raises InvalidRequest with every rule of Voyado that it breaks; VendorError.
        """
        definition = schema if isinstance(schema, Definition) else _read_schema(schema)
        body = definition.text().encode()
        request = HttpRequest("POST", api.SCHEMAS, self._headers, body)
        doing = f"creating the schema {definition.id}"
        response = await self.send(request)
        is_text = type(read_json(response.body)) is str
        if response.status in api.SUCCESS and (not response.body.strip() or is_text):
            return
        if api.judge(response).outcome is not RequestOutcome.ACCEPTED:
            raise self._unreadable(doing, response, again=_LOOK_AT_SCHEMAS)

    async def delete_schema(self, schema_id: str) -> bool:
        """Delete a schema with ALL its interactions, of all contacts; return whether it was there.

        Raises InvalidRequest for what is no id; VendorError.
        """
        _require_schema_id(schema_id)
        path = api.get_schema(schema_id, self.section).path
        response = await self.send(HttpRequest("DELETE", path, self._headers, b""))
        if response.status == api.NOT_FOUND and not is_page(response):
            return False
        if response.status not in api.SUCCESS:
            doing = f"deleting the schema {schema_id}"
            raise self._unreadable(doing, response, again=_LOOK_AT_SCHEMAS)
        self.memory.schemas.forget(schema_id)
        return True

    # -- inside

    @property
    def _headers(self) -> Mapping[str, str]:
        return api.headers(self.section)

    async def _run(self, flow: Generator[HttpRequest, HttpResponse, T]) -> T:
        """Send the requests of a flow and return its result."""
        try:
            request = next(flow)
            while True:
                request = flow.send(await self.send(request))
        except StopIteration as end:
            result: T = end.value
            return result

    async def _schema(self, schema_id: str, doing: str) -> Schema:
        """Return the registered schema, which is remembered for an hour as in the sink."""
        known = self.memory.schemas.get(schema_id, self.clock())
        if known is not None:
            return known
        response = await self.send(api.get_schema(schema_id, self.section))
        if response.status == api.NOT_FOUND and not is_page(response):
            words = f"404, there is no schema {schema_id}"
            raise self.error_of(doing, Verdict(RequestOutcome.REJECTED, words, api.NOT_FOUND))
        if response.status not in api.SUCCESS:
            raise self.error_of(doing, judge_look_up(response))
        schema = read_schema(response.body)
        if schema.invalid:
            raise InvalidRequest({0: f"schema {schema_id} {schema.problem()}"})
        self.memory.schemas.put(schema_id, schema, self.clock() + SCHEMA_SECONDS)
        return schema

    async def _look_for(self, new: NewInteraction, doing: str) -> str | None:
        """Return Voyado's id of an interaction with this ``eventId``; None: there is none."""
        event_id = new.event_id
        if event_id is None:
            return None
        found = await self._run(
            read_pages(
                new.contact_id,
                new.schema_id,
                self.section,
                lambda page: reference_of(event_id, page),
            )
        )
        if isinstance(found, Verdict):
            unclear = replace(found, outcome=RequestOutcome.UNCLEAR)
            raise self.error_of(doing, unclear, again=_MAY_BE_STORED)
        return found

    def _stored(
        self, document: Any, doing: str, response: HttpResponse | None = None
    ) -> StoredInteraction:
        try:
            return StoredInteraction.model_validate(document)
        except ValidationError as error:
            words = f"the response is not Voyado's: {problems_of(error)}"
            status = 200 if response is None else response.status
            raise self.error_of(
                doing, Verdict(RequestOutcome.MISCONFIGURED, f"{status}, but {words}", status)
            ) from None

    def _unreadable(
        self, doing: str, response: HttpResponse, *, again: str = NOTHING_CHANGED
    ) -> VendorError:
        """Return the error of a response that is not a success or cannot be read."""
        verdict = api.judge(response)
        is_other_json = verdict.is_puzzling and read_json(response.body) is not UNREADABLE
        if response.status in api.SUCCESS and (
            verdict.outcome is RequestOutcome.ACCEPTED or is_other_json
        ):
            words = f"{response.status}, but the response is not Voyado's: {text_of(response)}"
            words = one_line(words).rstrip(": ")
            verdict = Verdict(RequestOutcome.MISCONFIGURED, words, response.status)
        return self.error_of(doing, verdict, again=again)


def _require_schema_id(schema_id: str) -> None:
    if problems := list(id_problems(schema_id)):
        raise InvalidRequest({0: "; ".join(problems)}, "")


def _require_id(name: str, text: str) -> None:
    """Raise InvalidRequest for an id that no address can hold; a blank one means all."""
    if not text.strip() or not is_unicode(text):
        raise InvalidRequest({0: f"{name} must be a text of Unicode, and not blank"}, "")


def _path(interaction_id: str) -> str:
    _require_id("an interaction's id", interaction_id)
    return f"{api.INTERACTIONS}/{quote(interaction_id, safe='')}"


def _read_new(interaction: NewInteraction | Mapping[str, Any]) -> NewInteraction:
    if isinstance(interaction, NewInteraction):
        return interaction
    try:
        return NewInteraction.model_validate(interaction)
    except ValidationError as error:
        raise InvalidRequest({0: problems_of(error)}) from None


def _read_schema(schema: Mapping[str, Any]) -> Definition:
    try:
        return read_definition(json.dumps(schema).encode())
    except DefinitionError as error:
        raise InvalidRequest({0: "; ".join(error.problems)}) from None
    except (TypeError, RecursionError) as error:
        raise InvalidRequest({0: f"it is no JSON: {error}"}) from None
