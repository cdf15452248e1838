"""Section ``[eightselect]`` of the settings."""

from pydantic import Field, SecretStr

from streams.vendors.base import VendorSettings


class EightSelectSettings(VendorSettings):
    """Section ``[eightselect]``."""

    base_url: str = "https://api.8select.io"
    api_id: SecretStr | None = None
    """Names the customer account; what the sink sends as ``x-api-id``."""
    user_id_secret: SecretStr | None = None
    """Keys the UUID of users whose id is no UUID; what the mapping needs. Changed, everybody whose
    id is made of it becomes a new user at 8SELECT."""
    require_content: bool = True
    """Skip what did not happen inside 8SELECT content: interactions are what it bills for."""
    concurrency: int = Field(32, ge=1, le=1000)
    """Requests in flight at once at most, in one worker."""
