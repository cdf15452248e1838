"""Two tables of a stock Faust app, read back from their changelogs."""

import os
from typing import Any

import faust

from streams.settings import load_settings

settings = load_settings()
topics = settings.topics
types = {"key_type": bytes, "value_type": bytes}
raw = {**types, "key_serializer": "raw", "value_serializer": "raw"}

app = faust.App(
    f"{topics.prefix}stock-recovery",
    broker=";".join(f"kafka://{server}" for server in settings.kafka.servers),
    store="memory://",
    key_serializer="raw",
    value_serializer="raw",
    topic_partitions=settings.kafka.partitions,
    datadir=os.environ["STOCK_FOLDER"],
)
users = app.Table("users", partitions=settings.kafka.partitions, **types)
products = app.GlobalTable("products", partitions=settings.kafka.partitions, **types)
clicks = app.topic(topics.clicks, **raw)


@app.agent(clicks)
async def look_up(stream: Any) -> None:
    """Read both tables for each click, so that they belong to a stream."""
    async for event in stream.events():
        users.get(event.key)
        products.get(event.value)


@app.page("/progress/")
async def show_progress(view: Any, request: Any) -> Any:  # noqa: ARG001
    """Tell the benchmark whether the tables are read, and how many rows they have."""
    ready = app.tables.recovery.completed.is_set()
    return view.json({"ready": ready, "events": len(users) + len(products)})


if __name__ == "__main__":
    app.main()
