"""Enrichment: raw events in, one record a vendor out."""
