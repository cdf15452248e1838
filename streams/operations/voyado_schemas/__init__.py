"""Voyado's interaction schemas as files: compared, created, exported."""
