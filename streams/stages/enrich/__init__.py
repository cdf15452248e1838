"""The stage ``enrich``: raw events in, one record for each vendor out."""
