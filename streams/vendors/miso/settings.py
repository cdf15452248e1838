"""Section ``[miso]`` of the settings."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from streams.vendors.base import VendorSettings
from streams.vendors.miso.types import click_type_problem


class MisoSettings(VendorSettings):
    """Section ``[miso]``."""

    base_url: str = "https://api.askmiso.com"
    api_key: SecretStr | None = None
    """The secret key: the publishable one is refused from a server."""
    click_type: str = "product_detail_page_view"
    """The interaction type that a click becomes."""
    product_id: Literal["sku", "product_id"] = "sku"
    """Which of our ids Miso's catalogue uses."""
    batch_records: int = Field(500, ge=1, le=10_000)
    batch_bytes: int = Field(512 * 1024, ge=1024)
    linger_seconds: float = Field(0.25, ge=0, le=60)

    @field_validator("click_type")
    @classmethod
    def _click_type_carries_a_product(cls, value: str) -> str:
        problem = click_type_problem(value)
        if problem is not None:
            raise ValueError(f"{value!r} {problem}")
        return value
