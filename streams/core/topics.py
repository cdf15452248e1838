"""Every topic name, spelled once, with how each must be set up."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streams.core.kinds import ALWAYS_ON, KINDS

DAY_MS = 24 * 60 * 60 * 1000
LINK_DAYS = 30
"""How long ``shop.visitors`` keeps a row, as long as dead letters and tombstones are kept."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What a topic must look like on the broker."""

    name: str
    partitions: int | None
    """None: any number will do (``shop.products``); new ones get the default."""
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
    """The shop's own topics that the stage ``ingest`` reads; none: there is no such stage."""
    fed: tuple[str, ...] = ()
    """What it writes, as in ``[ingest.NAME] to``."""
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
        """The raw topics of sources that are off: they were on, perhaps."""
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
        """User rows by ``anonymous_id``; the table ``users`` reads it as its changelog."""
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
        """Product rows by ``product_id``; the table ``products`` reads it as its changelog."""
        return f"{self.prefix}shop.products"

    @property
    def enrich_dead_letters(self) -> str:
        """Records that can never become an event."""
        return f"{self.prefix}enrich.dead-letters"

    @property
    def status(self) -> str:
        """One snapshot a worker and second."""
        return f"{self.prefix}streams.status"

    @property
    def control(self) -> str:
        """The operator's will, by vendor."""
        return f"{self.prefix}streams.control"

    @property
    def replays(self) -> str:
        """The runs of replays and resends, by run id."""
        return f"{self.prefix}streams.replays"

    def events(self, vendor: str) -> str:
        """Enriched events on their way to a vendor."""
        return f"{self.prefix}vendor.{vendor}.events"

    def redelivery(self, vendor: str) -> str:
        """Replays and resent dead letters, served after live traffic."""
        return f"{self.prefix}vendor.{vendor}.redelivery"

    def receipts(self, vendor: str) -> str:
        """The fate of each event at a vendor."""
        return f"{self.prefix}vendor.{vendor}.receipts"

    def dead_letters(self, vendor: str) -> str:
        """Events that a vendor refused for good."""
        return f"{self.prefix}vendor.{vendor}.dead-letters"

    @property
    def ingest_dead_letters(self) -> str:
        """The shop's own records that cannot be read or mapped."""
        return f"{self.prefix}ingest.dead-letters"

    def of_shop(self, name: str) -> str:
        """The raw topic or table that ``[ingest.NAME] to`` and commands call by this name."""
        return f"{self.prefix}shop.{name}"

    def is_ours(self, topic: str) -> bool:
        """Return whether a topic has the name of one that this project writes or keeps."""
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
        """All topics that must exist for these vendors, in the reference's order."""

        def kept(name: str, days: int, **more: str) -> TopicSpec:
            config = {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS), **more}
            return TopicSpec(name, partitions, config)

        compact = {"cleanup.policy": "compact"}
        # A forgotten visitor's tombstone must outlive any worker that is away; and, under a newer
        # row, every event that is older than it: these must never be judged by that row alone.
        # So must links, which say whose an order is.
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
        # Two kilobytes a worker and second: only closed segments are compacted.
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
