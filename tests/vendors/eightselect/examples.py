"""What the vendor suite in ``tests/contract`` needs to know of 8SELECT."""

from typing import Any

from streams.core.outcome import RequestOutcome
from streams.vendors.base import HttpResponse
from streams.vendors.eightselect import EightSelectSettings

SECRET = "8select-api-id-0815"
SETTINGS = EightSelectSettings.model_validate(
    {"api_id": SECRET, "user_id_secret": "secret-of-the-ids"}
)

CLICK_PAYLOAD: dict[str, Any] = {
    "type": "interact",
    "interact": {"type": "product", "action": "click", "product": {"sku": "8S-1042"}},
    "context": [
        {"type": "content", "content": {"type": "customSet", "customSet": {"id": "set-9"}}},
        {"type": "user", "user": {"id": "0b8f8d5a-51b5-4a0e-9a5c-6b1f1f6f2a22"}},
    ],
}
ADD_TO_CART_PAYLOAD = CLICK_PAYLOAD | {
    "interact": {"type": "product", "action": "addToCart", "product": {"sku": "8S-1042"}}
}
"""What the suite's two whole events become."""

ACCEPTED = HttpResponse(200, {"content-type": "application/json"}, b"{}")
"""The response to a request that was taken."""

NAMED = None
"""One event a request: a response needs to name none."""

STATUS_OUTCOMES = {
    200: RequestOutcome.ACCEPTED,
    201: RequestOutcome.ACCEPTED,
    202: RequestOutcome.ACCEPTED,
    204: RequestOutcome.ACCEPTED,
    301: RequestOutcome.MISCONFIGURED,
    400: RequestOutcome.REJECTED,
    401: RequestOutcome.MISCONFIGURED,
    403: RequestOutcome.MISCONFIGURED,
    404: RequestOutcome.MISCONFIGURED,
    405: RequestOutcome.MISCONFIGURED,
    408: RequestOutcome.THROTTLED,
    409: RequestOutcome.REJECTED,
    413: RequestOutcome.REJECTED,
    415: RequestOutcome.MISCONFIGURED,
    422: RequestOutcome.REJECTED,
    429: RequestOutcome.THROTTLED,
    500: RequestOutcome.UNAVAILABLE,
    501: RequestOutcome.MISCONFIGURED,
    502: RequestOutcome.UNAVAILABLE,
    503: RequestOutcome.UNAVAILABLE,
    504: RequestOutcome.UNAVAILABLE,
}
"""What these statuses mean without a body."""
