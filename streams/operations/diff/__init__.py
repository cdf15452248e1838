"""``streams diff``: the same traffic through two settings files, and how the payloads differ.

One process a settings file reads nothing itself: it gets each record and returns what it makes of
it, and this process compares. So nothing but one batch is held, and order is that of the traffic.
"""
