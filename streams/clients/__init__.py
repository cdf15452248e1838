"""Typed clients of the three vendors, for scripts and notebooks. They need no Kafka.

They build requests and judge responses with the functions of the sinks (``streams.vendors``), and
send them with the HTTP client of ``streams.delivery``. A client is an async context manager::

    async with Miso(api_key="…") as miso:
        await miso.upload({"type": "add_to_cart", "user_id": "u-1", "product_ids": ["a001"]})

Without arguments it uses the settings of the commands. Every failure raises a ``VendorError`` or an
``InvalidRequest``, both subclasses of ``StreamsError``. Their texts never contain a key.
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
