"""Faust made safe and fast: chunks, tracker commits, ordered outputs, tables that are their topics.

It knows Kafka and Faust, and nothing of shops or vendors. The private parts of Faust, mode and
aiokafka that it overrides are guarded by ``tests/engine/test_upgrade_guard.py``.
"""
