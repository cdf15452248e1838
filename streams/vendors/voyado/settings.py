"""Section ``[voyado]`` of the settings."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from streams import __version__
from streams.vendors.base import VendorSettings

SCHEMA_ID = r"^[A-Za-z0-9_-]{1,200}$"


class VoyadoSettings(VendorSettings):
    """Section ``[voyado]``."""

    base_url: str = ""
    """``https://{tenant}.voyado.com``, or ``.staging.voyado.com``: each tenant has its own."""
    api_key: SecretStr | None = None
    user_agent: str = Field(f"clickstream-relay/{__version__}", max_length=200)
    """``Name/Version``: Voyado refuses requests without it."""
    click_schema_id: str = Field("productClick", pattern=SCHEMA_ID)
    add_to_cart_schema_id: str = Field("addToCart", pattern=SCHEMA_ID)
    clicks: Literal["thinned", "all", "off"] = "thinned"
    """``thinned``: one per contact, SKU and 30 minutes."""
    requests_per_second: float = Field(40, gt=0, le=200)
    """Over all workers, look-ups included; Voyado asks to stay below 50 and refuses above 200."""
    late_identity_minutes: float = Field(0, ge=0, le=7 * 24 * 60)
    """How far back a visitor's events are sent once the contact is known; 0: not at all."""
    lookup_email: bool = False
    """Whether a contact may be looked up by e-mail where the row has no other key."""

    @property
    def schema_ids(self) -> tuple[str, ...]:
        """The schemas of the relay's interactions, also of kinds that are off."""
        return tuple(dict.fromkeys((self.click_schema_id, self.add_to_cart_schema_id)))

    @field_validator("user_agent")
    @classmethod
    def _names_program_and_version(cls, value: str) -> str:
        name, slash, version = value.partition("/")
        if not (name and slash and version and value.isascii() and value.isprintable()):
            raise ValueError(f'must be Name/Version, like AcmeShop/1.5, not "{value}"')
        if value != value.strip():
            raise ValueError("must have no spaces around it: it is sent in a header")
        return value
