"""The registry of vendors; this file lists all of them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from streams.core.enrich import VendorPlan
from streams.core.event_types import ShopEvent
from streams.vendors import eightselect, miso, voyado
from streams.vendors.base import Vendor, VendorSettings

VENDORS: Mapping[str, Vendor] = MappingProxyType(
    {
        vendor.key: vendor
        for vendor in (
            eightselect.VENDOR,
            voyado.VENDOR,
            miso.VENDOR,
        )
    }
)
"""Vendor by key, in the order in which they are shown."""


def plan_for(
    vendor: Vendor, settings: VendorSettings, events: Mapping[str, Any] = MappingProxyType({})
) -> VendorPlan:
    """Return the vendor under these settings as enrichment needs it.

    ``events``: the sections ``[events.NAME]`` by name.
    """
    mappers = {event_type: make(settings) for event_type, make in vendor.mappers.items()}
    if vendor.event_mapper is not None and events:
        mappers[ShopEvent.event_type] = vendor.event_mapper(settings, events)
    return VendorPlan(
        vendor.key,
        vendor.mapper(settings),
        settings.max_age_hours,
        vendor.needs_sku(settings),
        mappers,
    )
