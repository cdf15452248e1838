"""The sink: delivers one vendor's records, each to exactly one outcome."""
