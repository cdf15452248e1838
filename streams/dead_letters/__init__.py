"""Dead letters: found, grouped by cause, shown, dropped, sent again."""
