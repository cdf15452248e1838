"""Closing the demo's books: from the topics and the simulators' ledgers, and from nothing else."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import aiohttp
import msgspec
from aiokafka import ConsumerRecord

from streams.core.errors import SetupError
from streams.kafka.reader import connect
from streams.lab.demo.ages import Ages, read_ages
from streams.operations.audit.report import (
    AuditReport,
    Discrepancy,
    LedgerComparison,
    VendorBooks,
    compare_with_ledger,
)
from streams.settings import Settings

LEDGERS_OF_DIGESTS = ("eightselect",)
"""Vendors that have no field for our event id: their ledger tells an event by its ``digest``."""

_NAMED_IDS = 3


class LedgerFacts(msgspec.Struct, frozen=True):
    """What a simulator says it holds, read over HTTP."""

    requests: int
    answers: dict[str, int]
    """Requests by HTTP status, or by a word where no answer was sent."""
    ids: list[str]
    """Event ids, or digests, in the order of storing, repeats included."""


class _BookedReceipt(msgspec.Struct, frozen=True, gc=False):
    outcome: str
    source: str
    lane: str
    position: int | None
    run_id: str | None = None


_decode_receipt = msgspec.json.Decoder(_BookedReceipt).decode
_decode_ledgers = msgspec.json.Decoder(dict[str, LedgerFacts]).decode


@dataclass(frozen=True, slots=True)
class VendorClosing:
    """One vendor's side: our books, its ledger, and how they compare."""

    books: VendorBooks
    ledger: LedgerFacts
    comparison: LedgerComparison
    """By event ids; by digests for ``LEDGERS_OF_DIGESTS``."""
    ages: Ages | None
    """None where nothing was accepted."""

    @property
    def agrees(self) -> bool:
        """Whether the ledger holds what our receipts call accepted, each event once."""
        return self.comparison.agrees


@dataclass(frozen=True, slots=True)
class Closing:
    """The demo's result."""

    written: int
    """Events that the broker acknowledged to the demo."""
    report: AuditReport
    vendors: tuple[VendorClosing, ...]
    may_hold_invalid: bool = True
    """Whether invalid records are meant to be among the events, as in the sample."""

    @property
    def exit_code(self) -> int:
        """0 only if every event is accounted for and every ledger agrees."""
        return 1 if self.problems() else 0

    def problems(self) -> list[str]:
        """Return what is wrong, one sentence each; empty if the books balance."""
        found = []
        held = sum(self.report.raw.values())
        if held != self.written:
            found.append(f"{self.written:,} events were written, but the topics hold {held:,}.")
        if self.report.unexplained or self.report.unreadable:
            found.append(
                f"enrich: {self.report.unexplained:,} dead letters about records that do not "
                f"exist, {self.report.unreadable:,} unreadable{_first(self.report.examples)}."
            )
        invalid = sum(self.report.enrich_dead_letters.values())
        if invalid and not self.may_hold_invalid:
            reasons = ", ".join(f"{n:,} {r}" for r, n in self.report.enrich_dead_letters.items())
            found.append(
                f"{invalid:,} of {self.written:,} events are invalid records ({reasons}): look at "
                "them with `streams dead-letters list`, or try the file with "
                "`streams check --mapping`."
            )
        for vendor in self.vendors:
            found += _book_problems(vendor.books)
            found += _ledger_problems(vendor)
        return found


def _book_problems(books: VendorBooks) -> Iterable[str]:
    if books.waiting:
        yield f"{books.vendor}: {books.waiting:,} events still wait for an outcome."
    if books.owed != books.explained:
        yield (
            f"{books.vendor}: {books.owed:,} events are to be accounted for, "
            f"{books.explained:,} are."
        )
    for count, words in (
        (books.missing, "events are missing: they were read and have no outcome"),
        (books.contradicting, "events are dead letters of enrichment and were sent, too"),
        (books.unexplained, "records are about events that do not exist"),
        (books.unreadable, "records cannot be read"),
    ):
        if count:
            yield f"{books.vendor}: {count:,} {words}{_first(books.examples)}."


def _ledger_problems(vendor: VendorClosing) -> Iterable[str]:
    key, comparison = vendor.books.vendor, vendor.comparison
    for ids, words in (
        (comparison.lacking, "accepted by the receipts and not in the simulator's ledger"),
        (comparison.without_receipt, "in the simulator's ledger without a receipt"),
        (comparison.duplicates, "in the simulator's ledger more often than accepted"),
    ):
        if ids:
            shown = ", ".join(sorted(ids)[:_NAMED_IDS]) + ", …" * (len(ids) > _NAMED_IDS)
            yield f"{key}: {sum(ids.values()):,} events are {words}: {shown}."


def _first(examples: Sequence[Discrepancy]) -> str:
    return f" (such as {examples[0].where}: {examples[0].detail})" if examples else ""


async def read_ledgers(sandbox_url: str) -> Mapping[str, LedgerFacts]:
    """Return every simulator's ledger as it tells it; raises SetupError where it does not."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{sandbox_url}/ledger", params={"ids": "1"}) as answer,
        ):
            return _decode_ledgers(await answer.read())
    except (aiohttp.ClientError, msgspec.DecodeError) as error:
        raise SetupError(f"The ledger at {sandbox_url}/ledger cannot be read: {error}") from error


def digest(payload: object) -> str:
    """Return what a payload is told by: 32 hex digits of SHA-256 over its JSON, members sorted."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


async def accepted_digests(settings: Settings, vendor: str) -> Counter[str]:
    """Return how often each digest was accepted: of the vendor records, by their receipts.

    A receipt without a vendor record counts under the place where that should lie, which no
    ledger holds. Raises SetupError where the broker does not answer.
    """
    topics = settings.topics
    lanes = {"live": topics.events(vendor), "redelivery": topics.redelivery(vendor)}
    async with connect(settings.kafka) as reader:
        receipts = reader.read_topic(topics.receipts(vendor))
        places = accepted_places([r async for _, records in receipts for r in records], lanes)
        digests = {
            _place(record.topic, record.partition, record.offset): _digest_of(record)
            for topic in lanes.values()
            async for _, records in reader.read_topic(topic)
            for record in records
        }
    return Counter(digests.get(place) or place for place in places)


def accepted_places(receipts: Sequence[ConsumerRecord], lanes: Mapping[str, str]) -> list[str]:
    """Return where the accepted vendor records lie; each event once a run."""
    places: dict[tuple[str, str | None], str] = {}
    for record in receipts:
        try:
            receipt = _decode_receipt(record.value or b"")
        except msgspec.DecodeError:
            continue  # the audit names it
        if receipt.outcome == "accepted":
            topic = lanes.get(receipt.lane, receipt.lane)
            place = _place(topic, record.partition, receipt.position)
            places.setdefault((receipt.source, receipt.run_id), place)
    return list(places.values())


def _digest_of(record: ConsumerRecord) -> str | None:
    try:
        return digest(json.loads(record.value or b"")["payload"])
    except (ValueError, TypeError, KeyError):
        return None


def _place(topic: str, partition: int, offset: int | None) -> str:
    return f"{topic}/{partition}/{offset}"


async def close_books(
    settings: Settings, sandbox_url: str, report: AuditReport, written: int
) -> Closing:
    """Return an audit that kept the ids, held against what was written and the ledgers.

    Raises SetupError where the broker or the sandbox does not answer.
    """
    vendors = [books.vendor for books in report.vendors]
    ledgers = await read_ledgers(sandbox_url)
    ages = await read_ages(settings, vendors)
    closed = []
    for books in report.vendors:
        key, ledger = books.vendor, ledgers[books.vendor]
        ours = report
        if key in LEDGERS_OF_DIGESTS:
            ours = replace(report, accepted_ids={key: await accepted_digests(settings, key)})
        comparison = compare_with_ledger(ours, key, Counter(ledger.ids))
        closed.append(VendorClosing(books, ledger, comparison, ages[key]))
    return Closing(written, report, tuple(closed))
