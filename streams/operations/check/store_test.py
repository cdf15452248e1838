"""``streams check --store-test voyado``: one marked interaction is stored, read and deleted.

Voyado documents no dry run, and answers an interaction that it ignores with a success: only one
that is read back proves that key, contact and schema go together.
"""

import json
from collections.abc import AsyncIterator
from uuid import uuid4

from streams.clients import InvalidRequest, VendorError, Voyado
from streams.clients.client import ClientTransport
from streams.operations.check.samples import sample_payloads
from streams.settings import Settings
from streams.status.findings import Finding, ok, problem
from streams.vendors.voyado import VENDOR
from streams.vendors.voyado.models import NewInteraction, StoredInteraction
from streams.vendors.voyado.schema import EVENT_ID

MARK = "streams-check-"
"""How the ``eventId`` of the interaction begins."""


async def store_test(
    settings: Settings, contact_id: str, now_ms: int, transport: ClientTransport | None = None
) -> AsyncIterator[Finding]:
    """Yield whether Voyado stores, shows and deletes an add-to-cart of this contact."""
    key = VENDOR.key
    payloads, refusals = sample_payloads(VENDOR, settings.vendors[key], now_ms)
    for refusal in refusals:
        yield problem(key, f"{VENDOR.name}'s test event cannot be mapped: {refusal}.")
    if not payloads:
        return
    sample = json.loads(payloads[-1])
    mark = MARK + str(uuid4())
    sample = {**sample, "contactId": contact_id, "payload": sample["payload"] | {EVENT_ID: mark}}
    try:
        new = NewInteraction.model_validate(sample)
        async with Voyado(settings, transport=transport) as voyado:
            yield await _store_and_delete(voyado, new)
    except InvalidRequest as error:
        yield problem(key, f"{VENDOR.name} would ignore the test interaction: {error}.")
    except VendorError as error:
        yield problem(key, f"{error} The test interaction has the eventId {mark}.")


async def _store_and_delete(voyado: Voyado, new: NewInteraction) -> Finding:
    """Store an interaction and read it; delete it again, whatever comes of that."""
    created = await voyado.create_interaction(new)
    try:
        stored = await voyado.get_interaction(created.id)
    finally:
        was_there = await voyado.delete_interaction(created.id)
    about = f"{VENDOR.name}, schema {new.schema_id}"
    if stored is None:
        return problem(
            VENDOR.key,
            f"{about}: the test interaction was accepted with the id {created.id}, but is missing.",
            "Voyado ignored it, or shows it late: compare the schema with what is sent, with "
            "`streams voyado-schemas plan`.",
        )
    if (different := _different(new, stored, created.left_out)) or not was_there:
        what = f"other values of {', '.join(different)}" if different else "no trace when deleted"
        return problem(VENDOR.key, f"{about}: the test interaction was stored with {what}.")
    left_out = f", without {', '.join(created.left_out)}" if created.left_out else ""
    return ok(
        VENDOR.key,
        f"{about}: a test interaction of the contact was stored{left_out}, read and deleted.",
    )


def _different(
    new: NewInteraction, stored: StoredInteraction, left_out: tuple[str, ...]
) -> list[str]:
    """Return the properties that are not stored as they were sent."""
    return [
        name
        for name, value in new.payload.items()
        if name not in left_out and stored.payload.get(name) != value
    ]
