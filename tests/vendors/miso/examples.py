"""What the vendor suite in ``tests/contract`` needs to know of Miso."""

from streams.core.outcome import RequestOutcome
from streams.vendors.base import HttpResponse
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

ACCEPTED = HttpResponse(200, {"content-type": "application/json"}, b'{"message":"success"}')
"""The response to a request that was taken."""

NAMED = HttpResponse(
    422,
    {"content-type": "application/json"},
    b'{"errors":true,"message":"bad","data":["data.1.product_ids is invalid. Not an array."]}',
)
"""The response to a request of three that refuses the second event; None: there is no such form."""

STATUS_OUTCOMES = {
    200: RequestOutcome.UNCLEAR,
    204: RequestOutcome.ACCEPTED,
    301: RequestOutcome.MISCONFIGURED,
    400: RequestOutcome.UNAVAILABLE,
    401: RequestOutcome.MISCONFIGURED,
    403: RequestOutcome.MISCONFIGURED,
    404: RequestOutcome.MISCONFIGURED,
    405: RequestOutcome.MISCONFIGURED,
    408: RequestOutcome.THROTTLED,
    413: RequestOutcome.REJECTED,
    422: RequestOutcome.UNAVAILABLE,
    429: RequestOutcome.THROTTLED,
    500: RequestOutcome.UNAVAILABLE,
    501: RequestOutcome.MISCONFIGURED,
    502: RequestOutcome.UNAVAILABLE,
    503: RequestOutcome.UNAVAILABLE,
    504: RequestOutcome.UNAVAILABLE,
}
"""What these statuses mean without a body."""
