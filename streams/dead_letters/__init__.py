"""Dead letters: find them, group them by cause, show and drop them. ``replay`` resends them."""
