"""``streams worker`` for several stages: starts, monitors and restarts them, on one console."""
