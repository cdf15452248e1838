"""streams: a shop's clicks and add-to-carts, from Kafka to 8SELECT, Voyado Engage and Miso."""

__version__ = "0.1.0"
