"""The web server of a worker: dashboard, health, metrics, authentication."""
