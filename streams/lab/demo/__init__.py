"""The demonstration: sample sessions, and what runs the whole pipeline on them."""
