"""The registry of vendors; this file lists all of them."""

from collections.abc import Mapping
from types import MappingProxyType

from streams.core.enrich import VendorPlan
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


def plan_for(vendor: Vendor, settings: VendorSettings) -> VendorPlan:
    """Return the vendor under these settings as enrichment needs it."""
    return VendorPlan(
        vendor.key,
        vendor.mapper(settings),
        settings.max_age_hours,
        vendor.needs_sku(settings),
        {event_type: make(settings) for event_type, make in vendor.mappers.items()},
    )
