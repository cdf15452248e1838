"""Topic names and set-up, as docs/reference.md has them."""

from streams.core.topics import Topics


def test_topics_of_one_vendor_in_the_contracts_order() -> None:
    """Names, partitions and clean-up of everything that must exist."""
    day = 86_400_000
    found = [
        (spec.name, spec.partitions, spec.cleanup, spec.config.get("retention.ms"))
        for spec in Topics("eu.").specs(["miso"], 6)
    ]
    assert found == [
        ("eu.shop.clicks", 6, "delete", str(7 * day)),
        ("eu.shop.add-to-carts", 6, "delete", str(7 * day)),
        ("eu.shop.users", 6, "compact", None),
        ("eu.shop.products", None, "compact", None),
        ("eu.enrich.dead-letters", 6, "delete", str(30 * day)),
        ("eu.vendor.miso.events", 6, "delete", str(7 * day)),
        ("eu.vendor.miso.redelivery", 6, "delete", str(7 * day)),
        ("eu.vendor.miso.receipts", 6, "delete", str(14 * day)),
        ("eu.vendor.miso.dead-letters", 6, "delete", str(30 * day)),
        ("eu.streams.status", 1, "compact", None),
        ("eu.streams.control", 1, "compact", None),
        ("eu.streams.replays", 1, "compact", None),
    ]


def test_users_remember_tombstones_for_30_days_and_receipts_are_compressed() -> None:
    """A forgotten visitor stays forgotten for a worker that was away."""
    specs = {spec.name: spec.config for spec in Topics().specs(["miso"], 3)}
    assert specs["shop.users"]["delete.retention.ms"] == "2592000000"
    assert specs["shop.users"]["min.compaction.lag.ms"] == "604800000"
    assert specs["streams.status"]["segment.bytes"] == "16777216"
    assert specs["vendor.miso.receipts"]["compression.type"] == "zstd"


def test_prefix_is_taken_off_again() -> None:
    """Default event ids do not depend on the installation's prefix."""
    assert Topics("eu.").without_prefix("eu.shop.clicks") == "shop.clicks"
    assert Topics().without_prefix("shop.clicks") == "shop.clicks"
