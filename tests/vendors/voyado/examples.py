"""What the vendor suite in ``tests/contract`` needs to know of Voyado."""

from streams.core.outcome import Fate
from streams.vendors.base import HttpAnswer
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

ACCEPTED = HttpAnswer(
    200,
    {"content-type": "application/json"},
    b'{"id":"0b4b7c1e-1111-4222-8333-944455556666","self":{"created":"2026-11-20T10:00:00Z"}}',
)
"""The answer to a request that was taken."""

NAMED = None
"""There is one event in a request, so none needs to be named."""

STATUS_FATES = {
    200: Fate.UNCLEAR,
    301: Fate.MISCONFIGURED,
    400: Fate.REJECTED,
    401: Fate.MISCONFIGURED,
    403: Fate.MISCONFIGURED,
    404: Fate.MISCONFIGURED,
    405: Fate.MISCONFIGURED,
    408: Fate.THROTTLED,
    409: Fate.REJECTED,
    413: Fate.REJECTED,
    422: Fate.REJECTED,
    429: Fate.THROTTLED,
    500: Fate.UNCLEAR,
    501: Fate.MISCONFIGURED,
    502: Fate.UNCLEAR,
    503: Fate.UNCLEAR,
    504: Fate.UNCLEAR,
}
"""What these statuses mean without a body."""
