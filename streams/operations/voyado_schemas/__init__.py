"""``streams voyado-schemas``: compares, creates and exports Voyado's schemas as files."""
