"""Example: events in batches of a hundred; made up, to show what a vendor is."""

from streams.vendors.base import Vendor

from . import api, mapping
from .settings import ExampleSettings

__all__ = ["VENDOR", "ExampleSettings"]

VENDOR = Vendor(
    key="example",
    name="Example",
    settings=ExampleSettings,
    credentials=("api_key",),
    mapper=mapping.mapper,
    build_request=api.build_request,
    build_probe=api.build_probe,
    classify=api.classify,
    max_batch_records=lambda _: api.MAX_EVENTS,
    max_batch_bytes=lambda _: api.MAX_PAYLOAD_BYTES,
    linger_seconds=lambda settings: settings.linger_seconds,
)
