"""A script in the process of a sink does not exceed the quota of the vendor."""

import time
from pathlib import Path
from typing import Any

from streams.app import build
from streams.delivery.rate_limit import shared_rate_limit
from streams.kafka.topics import needed_topics
from streams.settings import load_settings
from streams.vendors.voyado import VENDOR

ENV = {
    "STREAMS_VOYADO_BASE_URL": "https://shop.voyado.com",
    "STREAMS_VOYADO_API_KEY": "a-key-of-this-test-alone",
}


async def test_clients_of_the_sinks_process_share_its_rate_limit(tmp_path: Path) -> None:
    """Found by the account: address and key."""
    settings = load_settings(ENV | {"STREAMS_STATE_DIR": str(tmp_path)})
    topics = needed_topics(settings.topics, "voyado", ["voyado"])
    app: Any = build(settings, "voyado", 0, dict.fromkeys(topics, 6))[0]
    limit = app.stage.courier.client.rate_limit
    section = settings.vendors["voyado"]
    account = VENDOR.account(section)
    assert shared_rate_limit(time.monotonic, account, 1.0) is limit
    other = VENDOR.account(section.model_copy(update={"base_url": "https://other.voyado.com"}))
    assert shared_rate_limit(time.monotonic, other, 1.0) is not limit
