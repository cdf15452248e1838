"""How payloads differ: counted exactly, shown masked."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.operations.diff.compare import Example, Made, NotSent, VendorChanges


def sent(event_id: str, payload: Any, **more: Any) -> bytes:
    """A vendor record."""
    record = {"event_id": event_id, "event_type": "click", "timestamp": "t", "anonymous_id": "v"}
    return json.dumps(record | {"payload": payload} | more).encode()


def compared(*pairs: tuple[list[Made], list[Made]]) -> VendorChanges:
    """The changes over these records."""
    changes = VendorChanges("miso")
    for old, new in pairs:
        changes.compare(old, new)
    return changes


def counts(changes: VendorChanges) -> tuple[int, int, int, int]:
    """Same, added, gone, changed."""
    return changes.same, changes.added, changes.gone, changes.changed


def test_each_field_that_differs_is_counted_once_a_payload() -> None:
    """By its path; the others are not."""
    changes = compared(
        (
            [sent("e1", {"price": 1, "page": {"url": "u"}, "ids": ["a", "b"], "old": 1})],
            [sent("e1", {"price": 2, "page": {"url": "u", "title": "t"}, "ids": ["a", "c"]})],
        ),
        ([sent("e2", {"price": 1})], [sent("e2", {"price": 3})]),
        ([sent("e3", {"price": 1})], [sent("e3", {"price": 1.0})]),
    )
    assert counts(changes) == (1, 0, 0, 2)
    found = {path: (one.added, one.gone, one.changed) for path, one in changes.fields.items()}
    assert found == {
        "price": (0, 0, 2),
        "ids[]": (0, 0, 1),
        "old": (0, 1, 0),
        "page.title": (1, 0, 0),
    }
    assert changes.fields["price"].examples[0] == Example("e1", 1, 2)


def test_what_has_no_counterpart_is_added_or_gone_with_the_reason() -> None:
    """The reason is that of the settings that give no payload."""
    changes = compared(
        ([sent("e1", {"a": 1})], [NotSent("skipped: no_consent")]),
        ([NotSent("skipped: unknown_product")], [sent("e2", {"a": 1})]),
        ([sent("e3", {})], []),
    )
    assert counts(changes) == (0, 1, 2, 0)
    assert changes.gone_because == {"skipped: no_consent": 1, "no event": 1}
    assert changes.added_because == {"skipped: unknown_product": 1}
    assert not changes.is_equal


def test_of_several_events_each_has_its_own_reason() -> None:
    """Whatever stands before it in the record, and whatever is sent of the others."""
    half: list[Made] = [
        NotSent("dead letter: invalid_field (quantity)", "e-0"),
        NotSent("dead letter: invalid_field (product_id)", "e-1"),
        NotSent("skipped: unknown_product", "e-2"),
    ]
    whole: list[Made] = [sent("e-0", {"a": 0}), half[1], sent("e-2", {"a": 2})]
    changes = compared(
        (half, whole), (whole, half), ([sent("e-3", {})], [half[0], sent("e-9", {})])
    )
    assert counts(changes) == (1, 2, 2, 0)
    assert changes.added_because == changes.gone_because
    assert changes.added_because == {
        "dead letter: invalid_field (quantity)": 1,
        "skipped: unknown_product": 1,
    }


def test_events_of_one_record_are_matched_by_their_ids_and_then_in_order() -> None:
    """One more element in front moves the others, and changes none of them."""
    changes = compared(
        (
            [sent("e-1", {"a": 1}), sent("e-2", {"a": 2})],
            [sent("e-0", {"a": 0}), sent("e-1", {"a": 1}), sent("e-2", {"a": 2})],
        ),
        ([sent("old", {"id": "old", "a": 1})], [sent("new", {"id": "new", "a": 1})]),
    )
    assert counts(changes) == (2, 1, 0, 1)
    assert list(changes.fields) == ["id"]


def test_reasons_that_differ_are_no_difference() -> None:
    """The vendor gets nothing either way."""
    changes = compared(
        ([NotSent("skipped: no_consent")], [NotSent("dead letter: invalid_field (price)")])
    )
    assert counts(changes) == (0, 0, 0, 0)
    assert changes.is_equal


def test_what_a_contact_is_looked_up_by_counts_as_a_field() -> None:
    """The vendor gets it, too."""
    changes = compared(
        (
            [sent("e1", {}, contact={"customKey": "k"})],
            [sent("e1", {}, contact={"email": "anna@shop.example"})],
        )
    )
    assert sorted(changes.fields) == ["contact.customKey", "contact.email"]
    assert "anna" not in json.dumps(changes.to_json())
    known = compared(([sent("e1", {}, contact={"email": "a@b.example"})], [sent("e1", {})]))
    assert list(known.fields) == ["contact.email"]


def test_examples_show_nobodys_data() -> None:
    """Equal ids have equal tags, so that a change can be seen."""
    old = {
        "user_id": "anna",
        "anonymous_id": "v-1",
        "name": "Anna",
        "page": {"url": "https://s/?a=1"},
    }
    new = {
        "user_id": "bert",
        "anonymous_id": "v-1",
        "name": "Bert",
        "page": {"url": "https://s/?b=2"},
    }
    changes = compared(
        ([sent("e1", old)], [sent("e1", new)]), ([sent("e2", old)], [NotSent("off")])
    )
    shown = json.dumps(changes.to_json())
    assert not any(word in shown for word in ("anna", "bert", "Anna", "Bert", "v-1", "a=1"))
    example = changes.fields["user_id"].examples[0]
    assert len({example.event_id, example.old, example.new}) == 3


def test_true_is_not_one() -> None:
    """To Python it is."""
    assert compared(([sent("e", {"a": True})], [sent("e", {"a": 1})])).changed == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)
MADE = st.lists(
    st.tuples(st.sampled_from("abc"), st.dictionaries(st.text(max_size=2), JSON, max_size=3)),
    max_size=4,
)


@given(MADE, MADE)
def test_every_payload_is_counted_once_on_its_side(old: Any, new: Any) -> None:
    """Whatever the two settings make of a record."""
    olds, news = [sent(*one) for one in old], [sent(*one) for one in new]
    changes = compared((list(olds), list(news)))
    assert changes.same + changes.changed + changes.gone == len(olds)
    assert changes.same + changes.changed + changes.added == len(news)
    assert compared((list(olds), list(olds))).is_equal
