"""Maps a shop's own records to raw events and table rows. Pure.

``decoding.Decoder`` is the protocol that decodes bytes. The stage ``ingest`` reads and writes the
topics.
"""
