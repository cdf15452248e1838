"""What the vendor suite needs to know of Example."""

from typing import Any

from streams.core.outcome import RequestOutcome
from streams.vendors.base import HttpResponse
from tests.contract.fourth_vendor.example import ExampleSettings

SECRET = "example-secret-key-0815"
SETTINGS = ExampleSettings.model_validate({"api_key": SECRET})

CLICK_PAYLOAD: dict[str, Any] = {
    "id": "e-1",
    "kind": "view",
    "at": "2026-11-20T09:59:58.120Z",
    "visitor": "visitor-7",
    "customer": "u-77",
    "sku": "8S-1042",
}
ADD_TO_CART_PAYLOAD = CLICK_PAYLOAD | {"kind": "cart", "count": 2}
"""What the suite's two whole events become."""

ACCEPTED = HttpResponse(202, {"content-type": "application/json"}, b'{"accepted":1}')
"""The response to a request that was taken."""

NAMED = HttpResponse(
    422,
    {"content-type": "application/json"},
    b'{"errors":[{"index":1,"reason":"sku is unknown"}]}',
)
"""The response to a request of three, of which the second is refused."""

STATUS_OUTCOMES = {
    200: RequestOutcome.UNCLEAR,
    202: RequestOutcome.UNCLEAR,
    301: RequestOutcome.MISCONFIGURED,
    400: RequestOutcome.REJECTED,
    401: RequestOutcome.MISCONFIGURED,
    403: RequestOutcome.MISCONFIGURED,
    404: RequestOutcome.MISCONFIGURED,
    408: RequestOutcome.THROTTLED,
    413: RequestOutcome.REJECTED,
    422: RequestOutcome.REJECTED,
    429: RequestOutcome.THROTTLED,
    500: RequestOutcome.UNAVAILABLE,
    501: RequestOutcome.MISCONFIGURED,
    503: RequestOutcome.UNAVAILABLE,
}
"""What these statuses mean without a body."""
