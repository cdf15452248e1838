"""Replays and resends: preview, run, resume and stop them; each has a receipt."""
