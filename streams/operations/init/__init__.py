"""``streams init``: reads samples, shows what vendors would receive, writes the proposal."""
