"""The consumer group of each stage."""


def group_id(topics_prefix: str, stage: str) -> str:
    """Return Kafka's group id of a stage: ``enrich`` or a vendor key."""
    return f"{topics_prefix}streams-{stage}"
