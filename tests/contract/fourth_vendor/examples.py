"""What the vendor suite needs to know of Example."""

from typing import Any

from streams.core.outcome import Fate
from streams.vendors.base import HttpAnswer
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

ACCEPTED = HttpAnswer(202, {"content-type": "application/json"}, b'{"accepted":1}')
"""The answer to a request that was taken."""

NAMED = HttpAnswer(
    422,
    {"content-type": "application/json"},
    b'{"errors":[{"index":1,"reason":"sku is unknown"}]}',
)
"""The answer to a request of three, of which the second is refused."""

STATUS_FATES = {
    200: Fate.UNCLEAR,
    202: Fate.UNCLEAR,
    301: Fate.MISCONFIGURED,
    400: Fate.REJECTED,
    401: Fate.MISCONFIGURED,
    403: Fate.MISCONFIGURED,
    404: Fate.MISCONFIGURED,
    408: Fate.THROTTLED,
    413: Fate.REJECTED,
    422: Fate.REJECTED,
    429: Fate.THROTTLED,
    500: Fate.UNAVAILABLE,
    501: Fate.MISCONFIGURED,
    503: Fate.UNAVAILABLE,
}
"""What these statuses mean without a body."""
