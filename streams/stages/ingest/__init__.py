"""The stage ``ingest``: the shop's own topics in, raw events and rows out.

What becomes of a record is ``core.ingest``; here it is read, written, counted and settled.
"""
