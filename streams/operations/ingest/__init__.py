"""What operators ask of the stage ``ingest``: its sums, its dead letters sent again, replays."""
