"""The state of the pipeline: judges the snapshots that workers write to ``streams.status``."""
