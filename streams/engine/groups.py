"""The consumer group of each stage."""


def group_id(topics_prefix: str, stage: str) -> str:
    """Kafka's group id of a stage (``enrich`` or a vendor key) in the installation of this prefix."""
    return f"{topics_prefix}streams-{stage}"
