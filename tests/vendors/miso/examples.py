"""What the vendor suite in ``tests/contract`` needs to know of Miso."""

from streams.core.outcome import Fate
from streams.vendors.base import HttpAnswer
from streams.vendors.miso import MisoSettings

SECRET = "miso-secret-key-0815"
SETTINGS = MisoSettings.model_validate({"api_key": SECRET})

CLICK_PAYLOAD = {
    "type": "product_detail_page_view",
    "anonymous_id": "visitor-7",
    "timestamp": "2026-11-20T09:59:58.120Z",
    "product_ids": ["8S-1042"],
    "context": {
        "custom_context": {"uuid": "e-1"},
        "campaign": {"name": "autumn", "source": "news"},
        "truncated_ip": "203.0.113.0",
        "locale": "de-DE",
        "region": "DE-BY",
        "page": {
            "url": "https://shop.example/p/1042",
            "referrer": "https://shop.example/",
            "title": "Shirt",
        },
        "user_agent": "Mozilla/5.0",
    },
    "user_id": "u-77",
    "miso_id": "3f0b6c1e-8f0a-4d6e-9b60-2f4f9d6f1a11",
}
ADD_TO_CART_PAYLOAD = CLICK_PAYLOAD | {"type": "add_to_cart"} | {"quantities": [2]}
"""What the suite's two whole events become."""

ACCEPTED = HttpAnswer(200, {"content-type": "application/json"}, b'{"message":"success"}')
"""The answer to a request that was taken."""

NAMED = HttpAnswer(
    422,
    {"content-type": "application/json"},
    b'{"errors":true,"message":"bad","data":["data.1.product_ids is invalid. Not an array."]}',
)
"""The answer to a request of three that refuses the second event; None: there is no such form."""

STATUS_FATES = {
    200: Fate.UNCLEAR,
    204: Fate.ACCEPTED,
    301: Fate.MISCONFIGURED,
    400: Fate.UNAVAILABLE,
    401: Fate.MISCONFIGURED,
    403: Fate.MISCONFIGURED,
    404: Fate.MISCONFIGURED,
    405: Fate.MISCONFIGURED,
    408: Fate.THROTTLED,
    413: Fate.REJECTED,
    422: Fate.UNAVAILABLE,
    429: Fate.THROTTLED,
    500: Fate.UNAVAILABLE,
    501: Fate.MISCONFIGURED,
    502: Fate.UNAVAILABLE,
    503: Fate.UNAVAILABLE,
    504: Fate.UNAVAILABLE,
}
"""What these statuses mean without a body."""
