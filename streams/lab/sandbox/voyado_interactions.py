"""Interactions that were stored: by id, and in pages of 50 by contact and schema."""

import base64
import uuid
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

import msgspec

PAGE = 50
_NAMESPACE = uuid.UUID("2bd1c0b2-2a0e-4c9a-9a0d-8b7a3f9f4f10")


def made_id(text: str) -> str:
    """Return an id that depends on nothing but the text."""
    return str(uuid.uuid5(_NAMESPACE, text))


class Stored(NamedTuple):
    """One interaction."""

    position: int
    """In the ledger."""
    contact_id: str
    schema_id: str
    created_date: str
    payload: bytes

    def shown(self, id_: str) -> dict[str, Any]:
        """Return it as the API shows it."""
        return {
            "id": id_,
            "contactId": self.contact_id,
            "schemaId": self.schema_id,
            "createdDate": self.created_date,
            "payload": msgspec.Raw(self.payload),
        }


class Interactions:
    """All of them, oldest first."""

    def __init__(self) -> None:
        self._by_id: dict[str, Stored] = {}
        self._by_contact: dict[tuple[str, str], dict[str, None]] = {}
        self._made = 0

    def add(self, stored: Stored) -> str:
        """Store one and return its id."""
        self._made += 1
        id_ = made_id(str(self._made))
        self._by_id[id_] = stored
        self._by_contact.setdefault((stored.contact_id, stored.schema_id), {})[id_] = None
        return id_

    def get(self, id_: str) -> Stored | None:
        """Return one by its id."""
        return self._by_id.get(id_)

    def delete(self, id_: str) -> Stored | None:
        """Remove one and return it."""
        stored = self._by_id.pop(id_, None)
        if stored is not None:
            del self._by_contact[stored.contact_id, stored.schema_id][id_]
        return stored

    def delete_schema(self, schema_id: str) -> Iterator[Stored]:
        """Remove and yield all interactions of a schema, of all contacts."""
        for contact, of_schema in list(self._by_contact):
            if of_schema == schema_id:
                for id_ in self._by_contact.pop((contact, of_schema)):
                    yield self._by_id.pop(id_)

    def page(
        self,
        contact_id: str,
        schema_id: str,
        continuation: str | None,
        form: Literal["items", "data"],
    ) -> dict[str, Any] | None:
        """Return one page in either form that clients have seen; None for a foreign token."""
        start = 0 if continuation is None else _read_token(continuation)
        if start is None:
            return None
        ids = list(self._by_contact.get((contact_id, schema_id), ()))
        shown = [self._by_id[id_].shown(id_) for id_ in ids[start : start + PAGE]]
        token = _token(start + PAGE) if len(ids) > start + PAGE else None
        if form == "data":
            return {"data": shown} | ({"continuation": token} if token else {})
        links = []
        if token:
            query = {"contactId": contact_id, "schemaId": schema_id, "continuation": token}
            href = f"/api/v3/interactions?{urlencode(query)}"
            links.append({"href": href, "method": "GET", "rel": "next"})
        return {"items": shown, "links": links}


def _token(start: int) -> str:
    return base64.b64encode(f"from:{start}".encode()).decode()


def _read_token(token: str) -> int | None:
    try:
        text = base64.b64decode(token, validate=True).decode()
    except ValueError:
        return None
    word, _, number = text.partition(":")
    return int(number) if word == "from" and number.isdecimal() else None
