"""Schemas of framed records, asked of a registry with Confluent's API, and the decoders on them.

Here: HTTP to the registry. How a schema reads bytes is ``core.avro``.
"""
