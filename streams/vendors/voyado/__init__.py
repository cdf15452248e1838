"""Voyado Engage: interactions of known contacts, one in each request, within a low rate limit."""

from streams.vendors.base import Vendor
from streams.vendors.voyado import api, events, forget, inquiries, mapping, request_flow
from streams.vendors.voyado.memory import ContactMemory
from streams.vendors.voyado.settings import VoyadoSettings

__all__ = ["VENDOR", "VoyadoSettings"]

VENDOR = Vendor(
    key="voyado",
    name="Voyado Engage",
    settings=VoyadoSettings,
    credentials=("api_key",),
    mapper=mapping.mapper,
    event_mapper=events.event_mapper,
    mappers={"order": mapping.own_pathway, "content_view": mapping.own_pathway},
    build_request=api.build_request,
    build_probe=api.build_probe,
    classify=api.classify,
    # There is no bulk endpoint for interactions.
    max_batch_records=lambda _: 1,
    max_batch_bytes=lambda _: 1024 * 1024,
    linger_seconds=lambda _: 0.0,
    # 10 queues on each of 6 partitions: at most 60 requests are open when a worker dies.
    concurrency=lambda _: 60,
    queues=10,
    # Growing waits as the vendor's retry policy names them.
    requests_per_second=lambda settings: settings.requests_per_second,
    can_look_up_delivered=True,
    retry_waits=(10.0, 30.0, 60.0, 300.0),
    request_flow=request_flow.start_flow,
    new_memory=ContactMemory,
    inquiries=inquiries.inquiries,
    forgetting=forget.FORGETTING,
)
