"""8SELECT's client: views, interactions and orders, and their validation."""

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec
from pydantic import ValidationError

from streams.clients.client import Client
from streams.clients.errors import InvalidRequest, encoded, problems_of
from streams.core.outcome import RequestOutcome
from streams.core.uuids import is_uuid
from streams.vendors.base import RequestModel
from streams.vendors.eightselect import VENDOR, api
from streams.vendors.eightselect.mapping import keyed_uuid
from streams.vendors.eightselect.models import (
    InteractRequest,
    OrderRequest,
    ValidationProblem,
    ViewRequest,
)
from streams.vendors.eightselect.settings import EightSelectSettings
from streams.vendors.responses import read_json

M = TypeVar("M", bound=RequestModel)
_AGAIN = "It may be stored: sending it again may count it twice."
_ORDER_AGAIN = "Send it again: 8SELECT leaves out an order whose id it has."


class EightSelect(Client[EightSelectSettings]):
    """8SELECT's analytics API; one event in each request.

    Events are models, or objects in 8SELECT's own form.
    """

    vendor = VENDOR
    forbidden = "Correct {key}, or ask {name} what it may do."

    async def view(self, event: ViewRequest | Mapping[str, Any]) -> None:
        """Send that content was seen; raises InvalidRequest or VendorError."""
        await self._submit(_read(ViewRequest, event), _AGAIN)

    async def interact(self, event: InteractRequest | Mapping[str, Any]) -> None:
        """Send an interaction with a product; raises InvalidRequest or VendorError.

        Send only interactions inside 8SELECT content, because 8SELECT bills by them.
        """
        await self._submit(_read(InteractRequest, event), _AGAIN)

    async def order(self, event: OrderRequest | Mapping[str, Any]) -> None:
        """Send an order with gross unit prices; raises InvalidRequest or VendorError."""
        await self._submit(_read(OrderRequest, event), _ORDER_AGAIN)

    async def validate(self, event: RequestModel | Mapping[str, Any]) -> list[ValidationProblem]:
        """Return what 8SELECT finds wrong with an event; an empty list if it is valid.

        Nothing is stored. An object is sent as it is, even if it is invalid. Raises VendorError,
        and InvalidRequest if it cannot be written as JSON.
        """
        body = encoded(event) if isinstance(event, RequestModel) else _as_json(event)
        inquiry = api.validation([body], self.section)
        response = await self.send(inquiry.request)
        verdict = inquiry.classify(response, 1)
        if verdict.outcome is RequestOutcome.ACCEPTED:
            return []
        content = read_json(response.body)
        listed = content.get("errors") if type(content) is dict else content
        if verdict.outcome is not RequestOutcome.REJECTED or type(listed) is not list:
            raise self.error_of("validating an event", verdict)
        return [ValidationProblem.model_validate(one) for one in listed if type(one) is dict]

    def user_id(self, anonymous_id: str) -> str:
        """Return the UUID under which the relay sends this visitor's events.

        Raises SettingsError if ``user_id_secret`` is needed and not set.
        """
        if is_uuid(anonymous_id):
            return anonymous_id
        self.settings.require_mappings([VENDOR.key])
        secret = self.section.user_id_secret
        assert secret is not None
        return keyed_uuid(anonymous_id, secret.get_secret_value().encode())

    async def _submit(self, event: RequestModel, again: str) -> None:
        request = api.build_request([encoded(event)], self.section)
        await self.ask(request, partial(api.classify, count=1), "sending an event", again=again)


def _as_json(event: Any) -> bytes:
    try:
        return msgspec.json.encode(event)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest({0: f"it is no JSON: {error}"}) from None


def _read(model: type[M], event: M | Mapping[str, Any]) -> M:
    if isinstance(event, model):
        return event
    try:
        return model.model_validate(event)
    except ValidationError as error:
        raise InvalidRequest({0: problems_of(error)}) from None
