"""What operators do beside the running workers: check, audit, trace, forget, offsets and more."""
