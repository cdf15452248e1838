"""``streams forget``: a visitor is forgotten here and at the vendors."""
