"""Typed clients of the three vendors, for scripts and notebooks. Knows no Kafka and no stage.

The requests and the verdicts on their responses are the sinks' own, of ``streams.vendors``; what
carries them is ``streams.delivery``. A client is an async context manager::

    async with Miso(api_key="…") as miso:
        await miso.upload({"type": "add_to_cart", "user_id": "u-1", "product_ids": ["a001"]})

Without arguments it uses the settings of the commands. Every failure is a ``VendorError`` or an
``InvalidRequest``, both of them ``StreamsError``; no key stands in their text.
"""

from streams.clients.eightselect import EightSelect
from streams.clients.errors import (
    InvalidRequest,
    RequestRejected,
    RequestThrottled,
    RequestUnclear,
    VendorError,
    VendorMisconfigured,
    VendorUnavailable,
)
from streams.clients.miso import Miso
from streams.clients.voyado import Voyado

__all__ = [
    "EightSelect",
    "InvalidRequest",
    "Miso",
    "RequestRejected",
    "RequestThrottled",
    "RequestUnclear",
    "VendorError",
    "VendorMisconfigured",
    "VendorUnavailable",
    "Voyado",
]
