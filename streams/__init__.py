"""streams: delivers a shop's events from Kafka to 8SELECT, Voyado Engage and Miso."""

__version__ = "0.1.0"
