"""The request flow that delivers one interaction: a generator without I/O.

It reads the schema and looks up the contact (both are remembered), looks up an interaction that may
already be stored, skips a click too many, and then posts the interaction.
"""

import re
from dataclasses import replace
from urllib.parse import quote, quote_plus

from streams.core.dead_letter import mask_secrets
from streams.core.outcome import DeadLetterReason, RequestOutcome, SkipReason, Verdict
from streams.vendors.base import HttpResponse, Parcel, RequestFlow
from streams.vendors.responses import (
    is_page,
    text_of,
    undocumented,
    with_answer,
)
from streams.vendors.voyado.api import (
    NOT_FOUND,
    SUCCESS,
    build_request,
    classify,
    get_contact_id,
    get_schema,
)
from streams.vendors.voyado.contacts import read_contact
from streams.vendors.voyado.interaction_request import (
    InteractionRequest,
    encode_body,
    read_interaction,
)
from streams.vendors.voyado.listing import Step, judge_look_up, read_pages
from streams.vendors.voyado.memory import (
    FOUND_SECONDS,
    NOT_FOUND_SECONDS,
    SCHEMA_SECONDS,
    Contact,
    ContactMemory,
)
from streams.vendors.voyado.pages import reference_of
from streams.vendors.voyado.schema import Schema, read_schema
from streams.vendors.voyado.settings import VoyadoSettings


def start_flow(parcel: Parcel, settings: VoyadoSettings, memory: ContactMemory) -> RequestFlow:
    """Return the request flow that delivers one interaction; see ``Vendor.request_flow``."""
    try:
        interaction = read_interaction(parcel.records[0])
    except ValueError as error:
        return _refused(DeadLetterReason.INVALID_PAYLOAD, f"this is no interaction: {error}")
    verdict = yield from _InteractionDelivery(interaction, parcel, settings, memory).verdict()
    key = "" if settings.api_key is None else settings.api_key.get_secret_value()
    private = (key, interaction.value, quote(interaction.value), quote_plus(interaction.value))
    return _masked(verdict, (*private, interaction.body.contact_id or ""))


class _InteractionDelivery:
    """One interaction on its way; each method that yields is a step of the request flow."""

    def __init__(
        self,
        interaction: InteractionRequest,
        parcel: Parcel,
        settings: VoyadoSettings,
        memory: ContactMemory,
    ) -> None:
        self._interaction = interaction
        self._schema_id = interaction.body.schema_id
        self._payload = parcel.payloads[0]
        self._is_unclear = parcel.unclear
        self._now = parcel.now
        self._partition = parcel.partition
        self._settings = settings
        self._memory = memory

    def verdict(self) -> Step[Verdict]:
        interaction, settings = self._interaction, self._settings
        if interaction.is_click and settings.clicks == "off" and not self._is_unclear:
            return _skipped(SkipReason.THINNED, "clicks are off")
        schema = yield from self._schema()
        if isinstance(schema, Verdict):
            return schema
        was_known = self._memory.contacts.get(self._contact_key, self._now) is not None
        contact = yield from self._contact()
        if isinstance(contact, Verdict):
            return contact
        if contact.contact_id is None:
            return _skipped(SkipReason.NO_CONTACT, contact.words, contact.status)
        verdict = yield from self._send_once(contact.contact_id, schema)
        if verdict.letter is DeadLetterReason.UNKNOWN_CONTACT and interaction.key:
            self._memory.contacts.forget(self._contact_key)
            if was_known:  # contacts are merged and deleted: what was remembered may be outdated
                again = yield from self._contact()
                if isinstance(again, Verdict):
                    return again
                if again.contact_id is None:
                    return _skipped(SkipReason.NO_CONTACT, again.words, again.status)
                if again.contact_id != contact.contact_id:
                    verdict = yield from self._send_once(again.contact_id, schema)
        return verdict

    def _send_once(self, contact_id: str, schema: Schema) -> Step[Verdict]:
        """Look for the interaction if it may be there, else send it if it is to be sent."""
        interaction = self._interaction
        sku, at_ms, event_id = interaction.sku, interaction.at_ms, interaction.event_id
        person = contact_id.lower()
        verdict: Verdict | None = None
        if self._is_unclear:
            verdict = yield from self._look_up_interaction(contact_id)
        if verdict is None:
            if interaction.is_click and self._settings.clicks != "all":
                if self._settings.clicks == "off":
                    return _skipped(SkipReason.THINNED, "clicks are off")
                clicks = self._memory.clicks_of(self._partition)
                if clicks.thin_out(person, sku, at_ms, event_id):
                    return _skipped(SkipReason.THINNED, "a click within 30 minutes was accepted")
            misfit = schema.misfit(interaction.body.payload)
            if misfit is not None:
                words = f"schema {self._schema_id}: {misfit}"
                return _refused(DeadLetterReason.INVALID_PAYLOAD, words)
            verdict = yield from self._post(contact_id, schema)
        if (
            interaction.is_click
            and verdict.outcome is RequestOutcome.ACCEPTED
            and self._settings.clicks == "thinned"
        ):
            self._memory.accept_click(self._partition, person, sku, at_ms, event_id)
        return verdict

    def _post(self, contact_id: str, schema: Schema) -> Step[Verdict]:
        body, payload = self._interaction.body, self._payload
        unlisted = schema.unlisted(body.payload)
        if unlisted or body.contact_id != contact_id:
            payload = encode_body(body, contact_id, unlisted)
        response = yield build_request([payload], self._settings)
        verdict = with_answer(classify(response, 1), response)
        if response.status == NOT_FOUND and not is_page(response):
            return (yield from self._explain_not_found(verdict))
        if verdict.outcome is RequestOutcome.UNCLEAR and response.status in SUCCESS:
            return (yield from self._confirm(contact_id, response, verdict))
        return verdict

    def _explain_not_found(self, verdict: Verdict) -> Step[Verdict]:
        """404 to a POST: either the contact or the schema does not exist."""
        self._memory.schemas.forget(self._schema_id)
        schema = yield from self._schema()
        if isinstance(schema, Verdict):
            return schema
        refused = _refused(DeadLetterReason.UNKNOWN_CONTACT, verdict.detail, NOT_FOUND)
        return replace(refused, answer=verdict.answer)

    def _confirm(self, contact_id: str, response: HttpResponse, verdict: Verdict) -> Step[Verdict]:
        """A success without an id: Voyado returns one upon acceptance, so it may have ignored it.

        If it cannot be asked now, it is asked before the interaction is sent again.
        """
        found = yield from self._look_up_interaction(contact_id)
        if found is None:
            # What says anything else than Voyado's success does not speak of this interaction.
            if response.failure or response.body.strip() not in (b"", b"{}"):
                return verdict
            words = f"{verdict.status} without an id, and the interaction was not stored"
            return Verdict(RequestOutcome.REJECTED, words, verdict.status, answer=verdict.answer)
        return (
            found
            if found.outcome is RequestOutcome.ACCEPTED
            else replace(found, outcome=RequestOutcome.UNCLEAR)
        )

    # -- look-ups

    def _schema(self) -> Step[Schema | Verdict]:
        schema_id = self._schema_id
        known = self._memory.schemas.get(schema_id, self._now)
        if known is not None:
            return known
        response = yield get_schema(schema_id, self._settings)
        if response.status == NOT_FOUND and not is_page(response):
            words = f"404, there is no schema {schema_id}; create it or correct"
            return Verdict(
                RequestOutcome.MISCONFIGURED, f"{words} {self._schema_setting}", NOT_FOUND
            )
        verdict = judge_look_up(response)
        if verdict.outcome is not RequestOutcome.ACCEPTED:
            return verdict
        schema = read_schema(response.body)
        if schema.properties is None and verdict.vendor_ref is None:
            return replace(
                undocumented(response, text_of(response)), outcome=RequestOutcome.UNAVAILABLE
            )
        problem = schema.problem()
        if problem is not None:
            return Verdict(
                RequestOutcome.MISCONFIGURED,
                f"schema {schema_id} {problem}; name another in {self._schema_setting}",
                response.status,
            )
        self._memory.schemas.put(schema_id, schema, self._now + SCHEMA_SECONDS)
        return schema

    @property
    def _schema_setting(self) -> str:
        return self._interaction.schema_setting

    @property
    def _contact_key(self) -> str:
        return f"{self._interaction.key}:{self._interaction.value}"

    def _contact(self) -> Step[Contact | Verdict]:
        interaction, contacts = self._interaction, self._memory.contacts
        if interaction.body.contact_id:
            return Contact(interaction.body.contact_id, 200, "")
        known = contacts.get(self._contact_key, self._now)
        if known is not None:
            return known
        response = yield get_contact_id(interaction.key, interaction.value, self._settings)
        found = read_contact(response)
        if isinstance(found, Contact):
            seconds = NOT_FOUND_SECONDS if found.contact_id is None else FOUND_SECONDS
            contacts.put(self._contact_key, found, self._now + seconds)
        return found

    def _look_up_interaction(self, contact_id: str) -> Step[Verdict | None]:
        """Return that the interaction is stored, or why that is not known; None: it is not."""
        event_id = self._interaction.event_id
        found = yield from read_pages(
            contact_id, self._schema_id, self._settings, lambda page: reference_of(event_id, page)
        )
        if isinstance(found, Verdict):
            # No such contact or schema; the POST shows which.
            return None if found.outcome is RequestOutcome.REJECTED else found
        if found is None:
            return None
        words = "200 found among the contact's interactions"
        return Verdict(RequestOutcome.ACCEPTED, words, 200, vendor_ref=found or None)


_E_MAIL = re.compile(r"""[^\s"'<>(),;:=&?]{1,64}@[^\s"'<>(),;:=&?]{1,255}""")


def _refused(letter: DeadLetterReason, words: str, status: int | None = None) -> Verdict:
    return Verdict(RequestOutcome.REJECTED, words, status, letter=letter)


def _skipped(reason: SkipReason, words: str, status: int | None = None) -> Verdict:
    return Verdict(RequestOutcome.SKIPPED, words, status, skip=reason)


def _masked(verdict: Verdict, private: tuple[str, ...]) -> Verdict:
    """Return the verdict without key, contact data and whatever looks like an e-mail address."""
    secrets = [text for text in private if len(text) >= _MIN_SECRET_CHARS]
    detail, answer = (
        _E_MAIL.sub("***", mask_secrets(text, secrets)) for text in (verdict.detail, verdict.answer)
    )
    return replace(verdict, detail=detail, answer=answer)


_MIN_SECRET_CHARS = 4
"""Shorter ones would mask parts of words and the status, and tell nothing by themselves."""
