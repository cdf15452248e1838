"""What the vendor suite in ``tests/contract`` needs to know of Voyado."""

from streams.core.outcome import RequestOutcome
from streams.vendors.base import HttpResponse
from streams.vendors.voyado import VoyadoSettings

SECRET = "voyado-secret-key-0815"
SETTINGS = VoyadoSettings.model_validate(
    {
        "base_url": "https://shop.voyado.com",
        "api_key": SECRET,
        "user_agent": "AcmeShop/1.5",
        "click_schema_id": "productClick",
        "add_to_cart_schema_id": "addToCart",
    }
)

CLICK_PAYLOAD = {
    "contactId": "5c0d7a52-6f0a-4f1c-8a3e-1d2c3b4a5f66",
    "schemaId": "productClick",
    "createdDate": "2026-11-20T09:59:58.120Z",
    "payload": {
        "eventId": "e-1",
        "productSku": "8S-1042",
        "productName": "Shirt",
        "category": "Men > Shirts",
        "brand": "Acme",
        "price": 19.9,
        "currency": "EUR",
        "url": "https://shop.example/p/1042",
    },
}
ADD_TO_CART_PAYLOAD = CLICK_PAYLOAD | {
    "schemaId": "addToCart",
    "payload": {
        "eventId": "e-1",
        "productSku": "8S-1042",
        "productName": "Shirt",
        "category": "Men > Shirts",
        "brand": "Acme",
        "price": 19.9,
        "currency": "EUR",
        "quantity": 2,
        "url": "https://shop.example/p/1042",
    },
}
"""What the suite's two whole events become."""

ACCEPTED = HttpResponse(
    200,
    {"content-type": "application/json"},
    b'{"id":"0b4b7c1e-1111-4222-8333-944455556666","self":{"created":"2026-11-20T10:00:00Z"}}',
)
"""The response to a request that was taken."""

NAMED = None
"""There is one event in a request, so none needs to be named."""

STATUS_OUTCOMES = {
    200: RequestOutcome.UNCLEAR,
    301: RequestOutcome.MISCONFIGURED,
    400: RequestOutcome.REJECTED,
    401: RequestOutcome.MISCONFIGURED,
    403: RequestOutcome.MISCONFIGURED,
    404: RequestOutcome.MISCONFIGURED,
    405: RequestOutcome.MISCONFIGURED,
    408: RequestOutcome.THROTTLED,
    409: RequestOutcome.REJECTED,
    413: RequestOutcome.REJECTED,
    422: RequestOutcome.REJECTED,
    429: RequestOutcome.THROTTLED,
    500: RequestOutcome.UNCLEAR,
    501: RequestOutcome.MISCONFIGURED,
    502: RequestOutcome.UNCLEAR,
    503: RequestOutcome.UNCLEAR,
    504: RequestOutcome.UNCLEAR,
}
"""What these statuses mean without a body."""
