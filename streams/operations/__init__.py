"""What operators do beside the running workers: check, audit, status."""
