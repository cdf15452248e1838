"""The pipeline as its workers describe it on ``streams.status``."""
