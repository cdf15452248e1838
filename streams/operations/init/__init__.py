"""``streams init``: reads samples, shows what vendors would get of them, writes the proposal."""
