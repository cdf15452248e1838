"""The names of all topics, and the configuration that each needs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streams.core.kinds import ALWAYS_ON, KINDS

DAY_MS = 24 * 60 * 60 * 1000
LINK_DAYS = 30
"""How long ``shop.visitors`` keeps a row, as long as dead letters and tombstones are kept."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """The configuration that a topic needs on the broker."""

    name: str
    partitions: int | None
    """None: any number (``shop.products``); a new topic gets the default."""
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def cleanup(self) -> str:
        """Kafka's ``cleanup.policy``."""
        return self.config["cleanup.policy"]


@dataclass(frozen=True, slots=True)
class Topics:
    """The topic names of one installation, each with its prefix."""

    prefix: str = ""
    shop: tuple[str, ...] = ()
    """The shop's own topics that the stage ``ingest`` reads; empty: the stage is off."""
    fed: tuple[str, ...] = ()
    """What ``ingest`` writes, as in ``[ingest.NAME] to``."""
    sources: tuple[str, ...] = ALWAYS_ON
    """The kinds of events that are on; see ``core.kinds``."""
    joins: bool = False
    """Whether ``ingest`` looks for the visitors of records that name none."""

    @property
    def raw(self) -> tuple[str, ...]:
        """The raw topics of all sources that are on."""
        return tuple(map(self.of_shop, self.sources))

    @property
    def off(self) -> tuple[str, ...]:
        """The raw topics of sources that are off; they may have been on before."""
        return tuple(self.of_shop(source) for source in KINDS if source not in self.sources)

    @property
    def clicks(self) -> str:
        """Raw clicks."""
        return self.of_shop("clicks")

    @property
    def add_to_carts(self) -> str:
        """Raw add-to-carts."""
        return self.of_shop("add-to-carts")

    @property
    def users(self) -> str:
        """User rows by ``anonymous_id``; the table ``users`` reads it directly."""
        return f"{self.prefix}shop.users"

    @property
    def visitors(self) -> str:
        """Which visitor an order or a user belongs to; there only if a section writes to it."""
        return self.of_shop("visitors")

    @property
    def of_join(self) -> tuple[str, ...]:
        """What ``ingest`` looks for visitors in; none where no section does."""
        if not self.joins:
            return ()
        return (self.users, *([self.visitors] if "visitors" in self.fed else ()))

    @property
    def products(self) -> str:
        """Product rows by ``product_id``; the table ``products`` reads it directly."""
        return f"{self.prefix}shop.products"

    @property
    def enrich_dead_letters(self) -> str:
        """Raw records that are not valid events."""
        return f"{self.prefix}enrich.dead-letters"

    @property
    def status(self) -> str:
        """One snapshot of each worker each second."""
        return f"{self.prefix}streams.status"

    @property
    def control(self) -> str:
        """Operator commands, by vendor."""
        return f"{self.prefix}streams.control"

    @property
    def replays(self) -> str:
        """The runs of replays and resends, by run id."""
        return f"{self.prefix}streams.replays"

    def events(self, vendor: str) -> str:
        """Enriched events on their way to a vendor."""
        return f"{self.prefix}vendor.{vendor}.events"

    def redelivery(self, vendor: str) -> str:
        """Vendor records of replays and resent dead letters."""
        return f"{self.prefix}vendor.{vendor}.redelivery"

    def receipts(self, vendor: str) -> str:
        """The outcome of each event at a vendor."""
        return f"{self.prefix}vendor.{vendor}.receipts"

    def dead_letters(self, vendor: str) -> str:
        """Events that could not be mapped for a vendor, or that it refused."""
        return f"{self.prefix}vendor.{vendor}.dead-letters"

    @property
    def ingest_dead_letters(self) -> str:
        """The shop's own records that cannot be read or mapped."""
        return f"{self.prefix}ingest.dead-letters"

    def of_shop(self, name: str) -> str:
        """The raw topic or table with this name in ``[ingest.NAME] to`` and in commands."""
        return f"{self.prefix}shop.{name}"

    def is_ours(self, topic: str) -> bool:
        """Return whether a topic has the name of one of the relay's topics."""
        name = topic.removeprefix(self.prefix)
        ours = Topics(sources=tuple(KINDS))
        fixed = {
            *ours.raw, ours.users, ours.products, ours.visitors, ours.enrich_dead_letters,
            ours.ingest_dead_letters, ours.status, ours.control, ours.replays,
        }  # fmt: skip
        return topic.startswith(self.prefix) and (
            name in fixed
            or re.fullmatch(r"vendor\.[^.]+\.(events|redelivery|receipts|dead-letters)", name)
            is not None
        )

    def without_prefix(self, topic: str) -> str:
        """The name of a topic in docs/reference.md."""
        return topic.removeprefix(self.prefix)

    def specs(
        self,
        vendors: Sequence[str],
        partitions: int,
        *,
        raw_days: int = 7,
        receipt_days: int = 14,
        dead_letter_days: int = 30,
    ) -> list[TopicSpec]:
        """All topics that must exist for these vendors, in the order of the reference."""

        def kept(name: str, days: int, **more: str) -> TopicSpec:
            config = {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS), **more}
            return TopicSpec(name, partitions, config)

        compact = {"cleanup.policy": "compact"}
        # A tombstone must be kept longer than any worker is away. If there is a newer row, it must
        # also be kept longer than the events before it: the newer row alone must not judge them.
        # The same holds for links, which say whose an order is.
        under_a_row = max(raw_days, LINK_DAYS if "visitors" in self.fed else 0)
        forgetful = compact | {
            "delete.retention.ms": str(30 * DAY_MS),
            "min.compaction.lag.ms": str(under_a_row * DAY_MS),
        }
        # Orders come without end; a segment a day, since only closed ones are deleted.
        links = {
            "cleanup.policy": "compact,delete",
            "retention.ms": str(LINK_DAYS * DAY_MS),
            "segment.ms": str(DAY_MS),
        }
        # Each worker writes two kilobytes a second, and only closed segments are compacted.
        status = compact | {"segment.bytes": str(16 * 1024 * 1024)}
        specs = [
            *(kept(name, raw_days) for name in self.raw),
            TopicSpec(self.users, partitions, forgetful),
            TopicSpec(self.products, None, compact),
            *([TopicSpec(self.visitors, None, links)] if "visitors" in self.fed else []),
            *([kept(self.ingest_dead_letters, dead_letter_days)] if self.shop else []),
            kept(self.enrich_dead_letters, dead_letter_days),
        ]
        for vendor in vendors:
            specs += [
                kept(self.events(vendor), raw_days),
                kept(self.redelivery(vendor), raw_days),
                kept(self.receipts(vendor), receipt_days, **{"compression.type": "zstd"}),
                kept(self.dead_letters(vendor), dead_letter_days),
            ]
        specs.append(TopicSpec(self.status, 1, status))
        return [*specs, *(TopicSpec(name, 1, compact) for name in (self.control, self.replays))]
