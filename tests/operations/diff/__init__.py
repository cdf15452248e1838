"""What a change of settings changes."""
