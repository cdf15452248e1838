"""Faust made safe and fast: chunks, commits in order, ordered outputs, tables read from topics.

Knows Kafka and Faust; knows no shop, no vendor and no settings of ours. The private parts of Faust,
mode and aiokafka that it overrides are listed in ``tests/engine/test_upgrade_guard.py``.
"""
