"""Interactions of Voyado Engage, as its page documents them; schemas: see ``definition``.

A field's description is the sentence of Voyado's page on which it rests; README.md names it.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from streams.vendors.base import AnswerModel, RequestModel, is_single
from streams.vendors.responses import UNREADABLE, read_json
from streams.vendors.voyado.api import is_guid
from streams.vendors.voyado.schema import EVENT_ID
from streams.vendors.voyado.settings import SCHEMA_ID


def _guid(text: str) -> str:
    if is_guid(text) is None:
        raise ValueError("must be a GUID")
    return text


def _date(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    try:
        datetime.fromisoformat(value)
        is_date_time = value[10:11] == "T"  # Python takes any other letter there, too
    except (TypeError, ValueError):
        is_date_time = False
    if not is_date_time:
        raise ValueError("must be a date and time of ISO 8601")
    return value


def _single(value: Any) -> Any:
    if not is_single(value):
        raise ValueError("must be a single value: a text, a number, true or false")
    return value


class NewInteraction(RequestModel):
    """An interaction that is to be stored; it cannot be changed afterwards, only deleted."""

    contact_id: Annotated[str, AfterValidator(_guid)] = Field(
        description="Every interaction must be linked to a specific Engage contact."
    )
    schema_id: str = Field(
        pattern=SCHEMA_ID,
        description="Such an interaction is always linked to a specific contact and a specific "
        "interaction schema.",
    )
    created_date: Annotated[str, BeforeValidator(_date)] | None = Field(
        None,
        description="The createdDate field, if not specified in the payload, will be automatically "
        "set to the current timestamp.",
    )
    payload: dict[str, Annotated[Any, AfterValidator(_single)]] = Field(
        description="Deeply nested JSON structures are not currently supported."
    )

    @property
    def event_id(self) -> str | None:
        """By what it is found again after a request without an answer; None: it cannot be."""
        value = self.payload.get(EVENT_ID)
        return value if isinstance(value, str) and value else None


def _payload(value: Any) -> Any:
    """Return a payload as an object; it has been seen as text, too."""
    if type(value) is not str:
        return value
    read = read_json(value.encode())
    return value if read is UNREADABLE else read


class StoredInteraction(AnswerModel):
    """An interaction as Voyado shows it."""

    id: str = Field(
        description="Upon acceptance, a unique ID for this interaction will be returned."
    )
    contact_id: str
    schema_id: str
    created_date: str | None = None
    payload: Annotated[dict[str, Any], BeforeValidator(_payload)]

    @property
    def event_id(self) -> str | None:
        """Our event id, where it carries one."""
        value = self.payload.get(EVENT_ID)
        return value if isinstance(value, str) and value else None


class CreatedInteraction(AnswerModel):
    """What became of an interaction that was sent."""

    id: str = Field(
        description="Upon acceptance, a unique ID for this interaction will be returned."
    )
    left_out: tuple[str, ...] = Field(
        (),
        description="If a property in the payload does not match the schema, that property will "
        "not be sent to Engage.",
    )
    """Properties that the schema does not have: they were not sent."""
    was_there: bool = False
    """It had been stored by an earlier request, and was not sent again."""
