"""Faust made safe and fast: chunks, commits in order, ordered outputs, tables read from topics.

Belongs here: Kafka and Faust. Does not: shop, vendors, our settings. The private parts of Faust,
mode and aiokafka that it overrides are listed in ``tests/engine/test_upgrade_guard.py``.
"""
