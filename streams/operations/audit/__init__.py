"""``streams audit``: the outcome of every raw event, computed from the topics alone."""
