"""The schema registry (Confluent's API): fetches schemas of records by HTTP, and decodes with them.

How a schema decodes bytes is ``core.avro``.
"""
