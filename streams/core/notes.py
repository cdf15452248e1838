"""What was corrected or is odd in records, in words. Pure."""

_WORDS = {
    "clock_ahead": "corrected a timestamp in the future",
    "dst": "ambiguous local time at a clock change",
    "future_kafka_time": "Kafka timestamp in the future",
    "ids_forgotten_early": "event ids forgotten early: duplicates may pass",
    "items_left": "used only the first of several products",
    "lone_surrogate": "replaced half a surrogate pair",
    "made_event_id": "event id made of its place in Kafka",
    "passed_over": "redelivery of a stopped run not sent",
    "run_stopped": "stopped a redelivery run that the vendor mostly refused",
    "suspicious_id": "id that many visitors share",
}
_WITH_FIELD = {
    "left_out": "ignored invalid {}",
    "joined": "visitor found by {}",
    "differs": "event and row have different {}",
    "future_rows": "row of shop.{} with a timestamp in the future",
    "malformed_rows": "malformed row of shop.{}",
}


def note_words(note: str) -> str:
    """Return a note in words: ``left_out:price`` as ``ignored invalid price``."""
    name, _, field = note.partition(":")
    if field and name in _WITH_FIELD:
        return _WITH_FIELD[name].format(field)
    return _WORDS.get(note, note)
