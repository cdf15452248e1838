"""Proposes ``[ingest.NAME]`` sections from sampled records. Pure; knows no file and no broker."""
