"""What the vendor suite in ``tests/contract`` needs to know of 8SELECT."""

from typing import Any

from streams.core.outcome import Fate
from streams.vendors.base import HttpAnswer
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

ACCEPTED = HttpAnswer(200, {"content-type": "application/json"}, b"{}")
"""The answer to a request that was taken."""

NAMED = None
"""One event a request: an answer needs to name none."""

STATUS_FATES = {
    200: Fate.ACCEPTED,
    201: Fate.ACCEPTED,
    202: Fate.ACCEPTED,
    204: Fate.ACCEPTED,
    301: Fate.MISCONFIGURED,
    400: Fate.REJECTED,
    401: Fate.MISCONFIGURED,
    403: Fate.MISCONFIGURED,
    404: Fate.MISCONFIGURED,
    405: Fate.MISCONFIGURED,
    408: Fate.THROTTLED,
    409: Fate.REJECTED,
    413: Fate.REJECTED,
    415: Fate.MISCONFIGURED,
    422: Fate.REJECTED,
    429: Fate.THROTTLED,
    500: Fate.UNAVAILABLE,
    501: Fate.MISCONFIGURED,
    502: Fate.UNAVAILABLE,
    503: Fate.UNAVAILABLE,
    504: Fate.UNAVAILABLE,
}
"""What these statuses mean without a body."""
