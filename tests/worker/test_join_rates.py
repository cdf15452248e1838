"""How many events find their rows."""

from streams.core.events import EventParser
from streams.core.rows import User
from streams.worker.join_rates import JoinRates

PARSE = EventParser("click", "shop.clicks", None).parse


def seen(joins: JoinRates, user: object, *, has_product: bool, **fields: str) -> None:
    """Let an event of these fields be counted."""
    text = "".join(f', "{name}": "{value}"' for name, value in fields.items())
    value = f'{{"timestamp": 1700000000000, "anonymous_id": "visitor-1234"{text}}}'.encode()
    event = PARSE(b"visitor-1234", value, 0, 7, 1_700_000_000_000)
    joins.events += 1
    joins.miss(event, user, has_product=has_product)


def test_what_an_event_misses_is_counted_by_kind() -> None:
    """User, product row, SKU: each by itself."""
    joins = JoinRates()
    seen(joins, None, has_product=True, product_id="p1")
    seen(joins, User(), has_product=True, product_id="p1")
    seen(joins, User(user_id="u"), has_product=False, product_id="p2", sku="S-2")
    seen(joins, None, has_product=False, product_id="p3", user_id="u")
    health = joins.health()
    assert (health.events, health.without_user) == (4, 2)
    assert (health.without_product, health.without_sku) == (2, 1)


def test_examples_are_few_masked_and_the_newest() -> None:
    """Enough to find the event again, nothing about the person."""
    joins = JoinRates()
    for number in range(6):
        seen(
            joins,
            None,
            has_product=True,
            product_id=f"p{number}",
            event_id=f"a{number}@mail.example",
        )
        joins.health()
    assert joins.health(("p5",)).examples == {
        "user": [
            "product p5 of visitor #x666 (***)",
            "product p4 of visitor #x666 (***)",
            "product p3 of visitor #x666 (***)",
        ]
    }
