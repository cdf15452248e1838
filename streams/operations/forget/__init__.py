"""``streams forget``: forgets a visitor here and at the vendors."""
