"""The stage ``ingest``: the shop's own topics in, raw events and rows out.

``core.ingest`` maps a record; here records are read, written, counted and settled.
"""
