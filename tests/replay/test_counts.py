"""A preview's figures: what is counted, how many requests it takes, how a sample is scaled."""

from collections import Counter
from itertools import pairwise

import pytest
from aiokafka import TopicPartition

from streams.core.enrich import Refuse, Send, Skip
from streams.core.errors import InvalidEvent, SettingsError
from streams.core.outcome import SkipReason
from streams.replay.counts import Counts, counts_json, effort, warnings_for
from streams.replay.planner import Left
from streams.replay.preview import replayed_vendors, sample_blocks
from streams.replay.window import Window
from streams.settings import load_settings

SETTINGS = load_settings(
    {
        "STREAMS_MISO_API_KEY": "secret",
        "STREAMS_VOYADO_API_KEY": "secret",
        "STREAMS_VOYADO_BASE_URL": "https://tenant.voyado.com",
        "STREAMS_VOYADO_REQUESTS_PER_SECOND": "10",
    }
)


def counted(vendor: str, sent: int, *, contacts: int = 0, size: int = 100) -> Counts:
    """So many events that would be sent, to so many contacts that are not known by id."""
    counts = Counts(vendor)
    for number in range(sent):
        contact = b',"contact":{"customKey":"k%d"}' % (number % contacts) if contacts else b""
        value = b'{"a":"' + b"x" * size + b'"' + contact + b"}"
        counts.add(Send(vendor, value, "event"), None)
    return counts


def test_every_judgement_is_counted_once() -> None:
    """Selected = sent + left + skipped + refused."""
    counts = counted("miso", 2)
    counts.add(Send("miso", b"{}", "row"), "dead_lettered")
    counts.add(Left("miso", "already_accepted"), "accepted")
    counts.add(Skip("miso", SkipReason.TOO_OLD), None)
    counts.add(Refuse("miso", InvalidEvent("invalid_json", "not JSON")), None)
    assert (counts.selected, counts.sent, counts.dead_letters) == (6, 3, 1)
    assert counts.before == {"missing": 2, "dead_lettered": 1}
    found = counts_json(SETTINGS, counts, None)
    assert found["would_send"] == 3
    assert (found["left"], found["skipped"], found["refused"]) == (
        {"already_accepted": 1},
        {"too_old": 1},
        {"invalid_json": 1},
    )


def test_miso_takes_five_hundred_a_request_or_fewer_large_ones() -> None:
    """By count, else by bytes; it counts no requests, so only a rate makes them take time."""
    assert effort(SETTINGS, counted("miso", 1_001), None).requests == 3
    assert effort(SETTINGS, counted("miso", 100, size=50_000), None).requests == 10
    needed = effort(SETTINGS, counted("miso", 100), 4.0)
    assert (needed.requests_per_second, needed.seconds) == (None, 25.0)
    assert effort(SETTINGS, counted("miso", 100), None).seconds is None
    assert effort(SETTINGS, counted("miso", 0), None).requests == 0


def test_voyados_look_ups_take_their_part_of_the_quota() -> None:
    """One for each contact that is not known by its id, at 95 % of the limit."""
    needed = effort(SETTINGS, counted("voyado", 90, contacts=5), None)
    assert (needed.requests, needed.requests_per_second) == (95, 10)
    assert needed.seconds == pytest.approx(10.0)


def test_a_sample_is_scaled_and_its_sum_still_holds() -> None:
    """Every figure by the same factor."""
    counts = counted("miso", 3)
    for _ in range(7):
        counts.add(Left("miso", "already_accepted"), "accepted")
    whole = counts.scaled(100.5)
    assert (whole.sent, whole.left["already_accepted"], whole.selected) == (302, 704, 1_006)
    assert whole.before == {"missing": 302}


def test_what_distorts_a_vendors_figures_is_said() -> None:
    """8SELECT's events have no timestamp; what was accepted may count twice."""
    assert "have no timestamp" in warnings_for(counted("eightselect", 1))[0]
    assert warnings_for(counted("eightselect", 0)) == []
    again = Counts("miso")
    again.add(Send("miso", b"{}", "row"), "accepted")
    assert "1 event that Miso has accepted is sent again (--again)" in warnings_for(again)[0]


def test_only_vendors_that_are_on_are_replayed_to() -> None:
    """``all`` are these; another is named with the remedy."""
    assert replayed_vendors(SETTINGS, "all") == ("voyado", "miso")
    assert replayed_vendors(SETTINGS, "miso") == ("miso",)
    with pytest.raises(SettingsError, match="8SELECT is off"):
        replayed_vendors(SETTINGS, "eightselect")
    with pytest.raises(SettingsError, match="there is no misi; name one of eightselect,"):
        replayed_vendors(SETTINGS, "misi")
    with pytest.raises(SettingsError, match="no vendor is on"):
        replayed_vendors(load_settings({}), "all")


def test_a_samples_blocks_lie_apart_in_the_partitions_that_were_chosen() -> None:
    """The coarsest spread first, so that a sample that is cut short is spread, too."""
    tps = [TopicPartition("shop.clicks", number) for number in (0, 1)]
    window = Window(
        0, 1, dict.fromkeys(tps, 1_000), usual_ends=dict.fromkeys(tps, 101_000), stops={}
    )
    blocks = list(sample_blocks(window, [1]))
    assert {block.tp for block in blocks} == {tps[1]}
    assert [block.start for block in blocks[:3]] == [51_000, 26_000, 76_000]
    assert all(block.end - block.start == 5_000 for block in blocks)
    spans = sorted((block.start, block.end) for block in blocks)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_a_sample_has_as_much_of_each_partition_as_the_window() -> None:
    """Rare kinds of events count for no more than they are."""
    sizes = {"shop.clicks": 200_000, "shop.orders": 1_000, "shop.events": 0}
    ends = {TopicPartition(topic, 0): size for topic, size in sizes.items()}
    window = Window(0, 1, dict.fromkeys(ends, 0), usual_ends=ends)
    looked_at: Counter[str] = Counter()
    for block in sample_blocks(window, [0]):
        looked_at[block.tp.topic] += block.end - block.start
    assert looked_at == {"shop.clicks": 60_000, "shop.orders": 300, "shop.events": 0}
