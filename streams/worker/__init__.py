"""The life of a worker: supervisor, status reports, counters, metrics, operator commands."""
