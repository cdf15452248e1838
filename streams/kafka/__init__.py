"""Kafka outside Faust: connections, reading and searching topics, offsets, topics themselves."""
