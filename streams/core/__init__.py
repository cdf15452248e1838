"""Pure: events, rows, enrichment, outcomes. No clock, network, environment, Kafka or Faust."""
