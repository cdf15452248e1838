"""A shop's records in the shapes of well-known trackers, and the events that they mean."""
