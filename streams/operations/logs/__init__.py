"""Reading topics without a consumer group: ranges of records, and the search for bytes."""
