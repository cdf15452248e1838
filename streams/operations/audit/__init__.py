"""The audit: what became of every raw event, recomputed from the topics alone."""
