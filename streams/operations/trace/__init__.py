"""``streams trace``: finds an event in the topics, and its outcome at each vendor."""
