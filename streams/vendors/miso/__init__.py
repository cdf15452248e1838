"""Miso: interactions that train recommendations, up to some hundreds in a request."""

from streams.vendors.base import Vendor
from streams.vendors.miso import api, events, forget, mapping
from streams.vendors.miso.settings import MisoSettings

__all__ = ["VENDOR", "MisoSettings"]

VENDOR = Vendor(
    key="miso",
    name="Miso",
    settings=MisoSettings,
    credentials=("api_key",),
    mapper=mapping.mapper,
    event_mapper=events.event_mapper,
    mappers={"order": mapping.order_mapper, "content_view": mapping.view_mapper},
    needs_sku=lambda settings: settings.product_id == "sku",
    build_request=api.build_request,
    build_probe=api.build_probe,
    classify=api.classify,
    max_batch_records=lambda settings: settings.batch_records,
    max_batch_bytes=api.max_batch_bytes,
    linger_seconds=lambda settings: settings.linger_seconds,
    validation=api.validation,
    forgetting=forget.FORGETTING,
)
