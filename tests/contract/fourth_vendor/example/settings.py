"""Section ``[example]`` of the settings."""

from pydantic import Field, SecretStr

from streams.vendors.base import VendorSettings


class ExampleSettings(VendorSettings):
    """Section ``[example]``."""

    base_url: str = "https://api.example.com"
    api_key: SecretStr | None = None
    linger_seconds: float = Field(0.5, ge=0, le=60)
    """How long an event may wait for others to share its request."""
