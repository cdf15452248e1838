"""A shop's own records mapped to raw events and table rows. Pure.

Bytes are decoded behind the protocol ``decoding.Decoder``; topics are read and written by the
stage ``ingest``.
"""
