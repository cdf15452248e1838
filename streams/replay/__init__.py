"""Replays: previewed, run, resumed, stopped; a receipt for each."""
