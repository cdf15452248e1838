"""A sink: one vendor's records in, each to exactly one outcome."""
