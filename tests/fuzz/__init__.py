"""Mutated records against everything that reads a stranger's bytes; nothing else belongs here."""
