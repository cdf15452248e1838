"""8SELECT: interactions, orders and views of its content, one event in each request."""

from streams.vendors.base import Vendor
from streams.vendors.eightselect import api, events, forget, mapping
from streams.vendors.eightselect.settings import EightSelectSettings

__all__ = ["VENDOR", "EightSelectSettings"]

VENDOR = Vendor(
    key="eightselect",
    name="8SELECT",
    settings=EightSelectSettings,
    credentials=("api_id",),
    mapper=mapping.mapper,
    event_mapper=events.event_mapper,
    mappers={"order": mapping.order_mapper, "content_view": mapping.view_mapper},
    mapping_secrets=("user_id_secret",),
    build_request=api.build_request,
    build_probe=api.build_probe,
    classify=api.classify,
    max_batch_records=lambda _: 1,
    max_batch_bytes=lambda _: api.MAX_BATCH_BYTES,
    linger_seconds=lambda _: 0.0,
    concurrency=lambda settings: settings.concurrency,
    # So many that visitors at random fill the concurrency from one partition alone; a prime, so
    # that ids which are alike spread too.
    queues=67,
    validation=api.validation,
    forgetting=forget.FORGETTING,
)
