"""The pure part: events, rows, enrichment and outcomes. No clock, network, Faust or environment."""
