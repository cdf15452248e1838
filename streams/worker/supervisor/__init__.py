"""Several workers as one command: started, watched, restarted, on one console."""
