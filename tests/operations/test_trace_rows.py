"""Why an event had no consent, by what its visitor's row says today."""

import json
from typing import Any

import pytest
from aiokafka import TopicPartition

from streams.core.event_types import Click
from streams.kafka.topic_search import FoundRecord
from streams.operations.trace.rows import row_words

AT = 1_795_168_800_000
YES: dict[str, Any] = {"consent": {"miso": True}}


def newest(value: Any, at_ms: int = AT) -> FoundRecord:
    """A row, or a tombstone where it is None."""
    encoded = None if value is None else json.dumps(value).encode()
    return FoundRecord(TopicPartition("shop.users", 0), 5, at_ms, b"anna", encoded, (), False)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (None, "The visitor has no row in shop.users."),
        (newest(None), "The visitor was forgotten at 2026-11-20T10:00:00.000Z."),
        (
            newest(None, AT - 1),
            "The visitor has no row in shop.users since 2026-11-20T09:59:59.999Z.",
        ),
        (
            newest({"Consent": 1}),
            (
                "The visitor's row shop.users/0/5 is malformed and counts as a no to all vendors: "
                "the user row is out of shape: it has none of the fields user_id, contact_id, "
                "custom_key, email, consent, updated_at, eightselect_user_id, consent_since, but "
                "Consent."
            ),
        ),
        (newest({"consent": {"miso": False}}), "The visitor's row says no."),
        (
            newest({"consent": {"voyado": True}}),
            "The visitor's row says nothing about this vendor.",
        ),
        (newest(YES), "The visitor's row says yes now; it did not when this was decided."),
        (
            newest(YES | {"consent_since": AT}),
            "The visitor's row says yes now; it did not when this was decided.",
        ),
        (
            newest(YES | {"consent_since": {"miso": AT + 1}}),
            (
                "The visitor's row says yes from 2026-11-20T10:00:00.001Z on (consent_since), "
                "and this event is older."
            ),
        ),
    ],
)
def test_the_row_says_why(row: FoundRecord | None, words: str) -> None:
    """A row, a tombstone or none; a yes with its beginning."""
    assert row_words("miso", Click("anna", AT, product_id="p-1", timestamp_ms=AT), row, AT) == words


def test_the_events_own_no_comes_first() -> None:
    """Whatever the row says."""
    event = Click("anna", AT, product_id="p-1", timestamp_ms=AT, consent={"miso": False})
    assert row_words("miso", event, newest(YES), AT) == "The event itself says no."
