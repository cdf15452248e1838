"""Kafka outside Faust: connections, reading and searching topics, offsets, creating topics."""
