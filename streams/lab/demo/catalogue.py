"""A made-up catalogue for the product ids of the sample: the same id always gets the same row."""

from typing import Any

_BRANDS = ("Avenra", "Boskil", "Curlo", "Delmoor", "Ebbfjord", "Fintano", "Grevala", "Holtrup")
_COLOURS = ("black", "cream", "forest green", "navy", "red", "sand", "sky blue", "white")
_KINDS = (
    (("Fashion", "Women", "Dresses"), "Midi dress"),
    (("Fashion", "Women", "Shoes"), "Ankle boots"),
    (("Fashion", "Men", "Shirts"), "Linen shirt"),
    (("Fashion", "Men", "Jackets"), "Rain jacket"),
    (("Fashion", "Children"), "Dungarees"),
    (("Home", "Living room", "Lamps"), "Floor lamp"),
    (("Home", "Bedroom"), "Duvet cover"),
    (("Home", "Kitchen", "Appliances"), "Kettle"),
    (("Garden", "Furniture"), "Folding chair"),
    (("Sport", "Cycling"), "Bicycle bag"),
    (("Electronics", "Audio"), "Headphones"),
)


def is_listed(product_id: int) -> bool:
    """Whether the catalogue has a row: one id in 23 has none, as in real life."""
    return product_id % 23 != 0


def sku_of(product_id: int) -> str:
    """The buyable variant that stands for this product."""
    return f"SKU-{product_id}"


def price_of(product_id: int) -> float:
    """Gross price in EUR."""
    return (499 + product_id * 37 % 19_500) / 100


def product_row(product_id: int) -> dict[str, Any]:
    """A row of ``shop.products``."""
    category, noun = _KINDS[product_id % len(_KINDS)]
    colour = _COLOURS[product_id // 11 % len(_COLOURS)]
    row: dict[str, Any] = {
        "sku": sku_of(product_id),
        "product_group_id": f"G-{product_id // 10}",
        "name": f"{noun}, {colour}",
        "category": list(category),
        "price": price_of(product_id),
        "currency": "EUR",
    }
    if product_id % 9:  # some products are no brand's
        row["brand"] = _BRANDS[product_id % len(_BRANDS)]
    return row
