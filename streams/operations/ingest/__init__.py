"""Operators' commands for the stage ``ingest``: audit, resending dead letters, replays."""
