"""What happened in a small shop, before any tracker has written it down."""

from collections.abc import Iterator
from typing import NamedTuple

START_MS = 1_795_168_800_000
"""2026-11-20T10:00:00Z."""


class Product(NamedTuple):
    """An article in one size."""

    id: str
    sku: str
    group: str
    name: str
    brand: str
    category: tuple[str, ...]
    price: float


class Visitor(NamedTuple):
    """A browser, and who sits before it as far as the shop knows."""

    anonymous_id: str
    user_id: str | None
    email: str | None


class Happened(NamedTuple):
    """One product seen, or put into the cart, or something that is no business of ours."""

    number: int
    kind: str
    """``view``, ``cart`` or ``other``."""
    at_ms: int
    visitor: Visitor
    product: Product
    quantity: int

    @property
    def url(self) -> str:
        """The page of the product."""
        return f"https://shop.example/p/{self.product.id}"

    @property
    def title(self) -> str:
        """The title of that page."""
        return f"{self.product.name} | Example Shop"


_KINDS = ("Shirt", "Jacket", "Trousers", "Scarf", "Boots", "Cap", "Belt", "Coat")
PRODUCTS = tuple(
    Product(
        id=str(41_200 + 7 * number),
        sku=f"{kind[:2].upper()}-{1000 + number}-{'SML'[number % 3]}",
        group=str(900 + number // 2),
        name=f"{kind} No. {number}",
        brand=("Northwind", "Alder & Sons", "Plain")[number % 3],
        category=("Women" if number % 2 else "Men", f"{kind}s"),
        price=round(19.9 + 10.5 * number, 2),
    )
    for number, kind in enumerate(_KINDS * 2)
)
VISITORS = tuple(
    Visitor(
        f"{0x5A1F0000 + number * 7919:08x}-77aa-4c1e-9d00-{number:012x}",
        f"{70_010 + number}" if number % 2 else None,
        f"person{number}@mail.example" if number % 2 else None,
    )
    for number in range(12)
)
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"


def happened(count: int = 240) -> Iterator[Happened]:
    """Yield so many events, one each 7.3 s: of six four views, one cart, one of another kind."""
    for number in range(count):
        yield Happened(
            number,
            ("view", "view", "cart", "view", "other", "view")[number % 6],
            START_MS + 7_311 * number,
            VISITORS[(number * 5 + number // 6) % len(VISITORS)],
            PRODUCTS[(number * 7) % len(PRODUCTS)],
            1 + number % 3,
        )
