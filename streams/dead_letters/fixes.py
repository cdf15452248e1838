"""The sentence that names what most likely helps, by the words of a dead letter (pure).

No sentence repeats anything of a letter but the names of fields that stand here. The table is
long because it is one: a cause a row.
"""

import re
from typing import NamedTuple


class _Rule(NamedTuple):
    """The first rule that fits a letter gives its sentence."""

    reason: str
    fix: str
    words: str = ""
    """A pattern that the letter's detail must contain."""
    owner: str = ""
    """A vendor's key, ``enrich`` or ``ingest``; empty: any."""
    status: int = 0
    """HTTP status; 0: any, or none."""


_PRODUCER = "The producer must send"
_STRANGER = (
    "Another program writes to this vendor's events topic: find that producer and stop it. Only "
    "streams may write there."
)
_REPORT = "please report it with what `streams dead-letters show` prints for it"
_MISO_SCHEMA = "compare the record with Miso's interaction schema"
_COMPARE_SCHEMA = "`streams voyado-schemas plan` compares the registered schema with what is sent"

_RULES: tuple[_Rule, ...] = (
    _Rule(
        "invalid_field",
        "Correct this setting of the section in streams.toml, or give the record another section "
        "by `when`; then send it again with `streams dead-letters resend --vendor ingest`.",
        "^(when|each|key|envelope): ",
        "ingest",
    ),
    _Rule(
        "invalid_field",
        "Correct the section's fields or timestamp_format in streams.toml, or what the producer "
        "sends; then send it again with `streams dead-letters resend --vendor ingest`.",
        owner="ingest",
    ),
    _Rule(
        "key_mismatch",
        "The section's `key` must give the same as its `anonymous_id`; leave `key` out for events.",
        "not its anonymous_id",
        "ingest",
    ),
    _Rule(
        "unknown_visitor",
        "The record has none of the ids that visitor_from names: map them in the section's fields, "
        "or leave such records out by `when`.",
        "it is missing",
    ),
    _Rule(
        "unknown_visitor",
        "Nothing said in time whose this user or order is: look whether the browser's records "
        "reach the section that writes to users or visitors; once they do, send it again with "
        "`streams dead-letters resend --vendor ingest`.",
    ),
    _Rule(
        "empty",
        "The shop writes records without a value to a topic of events: only sections that write "
        "to users or products take tombstones.",
        owner="ingest",
    ),
    _Rule(
        "unknown_schema",
        "The registry has no schema with the id in the record: check that [registry] url is the "
        "registry that the producer uses; then send it again with `streams dead-letters resend "
        "--vendor ingest`.",
    ),
    _Rule(
        "empty",
        "The producer writes records without a value to a topic of events; only shop.users and "
        "shop.products take tombstones.",
    ),
    _Rule(
        "invalid_json",
        _STRANGER,
        "^no vendor record",
    ),
    _Rule("invalid_json", f"{_PRODUCER} its JSON encoded as UTF-8.", "UTF-8"),
    _Rule(
        "invalid_json",
        f"{_PRODUCER} one JSON object a record, not a list or a bare value.",
        "not an object",
    ),
    _Rule(
        "invalid_json",
        f"{_PRODUCER} integers of at most 64 bits and finite numbers; longer ids as strings.",
        "64 bits|not finite|out of range",
    ),
    _Rule(
        "invalid_json",
        f"{_PRODUCER} fewer values in a record: split long lists over several records.",
        "more than [0-9,]+ values",
    ),
    _Rule("invalid_json", f"{_PRODUCER} less deeply nested JSON.", "nested deeper"),
    _Rule(
        "invalid_json",
        f"{_PRODUCER} strict JSON (RFC 8259): look at the record for a text that was cut off, "
        "single quotes, comments, or a schema registry's leading bytes.",
    ),
    _Rule(
        "invalid_frame",
        "Set `format` in the [ingest.NAME] section of this topic to what its producers write: "
        "json, confluent-json or confluent-avro.",
    ),
    _Rule(
        "unknown_schema",
        "Check that [registry] url is the registry that the producer uses, and whether the schema "
        "was deleted there; register it again under the same id, then resend.",
    ),
    _Rule(
        "invalid_avro",
        "The registry's schema cannot be used: set `format` in the [ingest.NAME] section to what "
        "the producers write.",
        "cannot be used",
    ),
    _Rule(
        "invalid_avro",
        "The producer must write each record with the schema whose id stands before it: check that "
        "it uses the registry of [registry] url.",
    ),
    _Rule(
        "invalid_field",
        "An expression of the field map failed on this record: correct it in the section of its "
        "topic, such as [source.clicks.fields], for instance by a default before the function, and "
        "try it with `streams check --mapping`.",
        "^[a-z_.0-9]+: the expression .* failed",
    ),
    _Rule(
        "invalid_field",
        f"{_PRODUCER} the time of the event in `timestamp`: these lie before the year 2000, as an "
        "unset date or the number 0 does.",
        "^timestamp: (?!.*it looks like).*before the year 2000",
    ),
    _Rule(
        "invalid_field",
        f"{_PRODUCER} `timestamp` in milliseconds; if it sends seconds, set timestamp_format = "
        '"s" in the section of its topic, such as [source.clicks]; microseconds are "us", '
        'nanoseconds "ns".',
        "^timestamp: .*(before the year 2000|beyond the year 2100|after the year 9999)",
    ),
    _Rule(
        "invalid_field",
        "Correct timestamp_format in the section of its topic, such as [source.clicks] (it can be "
        "a list of formats), and timezone beside it; try it with `streams check --mapping`.",
        "^timestamp: .*(does not fit the pattern|has none of the formats|is no number of)",
    ),
    _Rule(
        "invalid_field",
        f"{_PRODUCER} `timestamp` as RFC 3339 with an offset, such as 2026-05-01T08:00:00Z, or as "
        "integer milliseconds since the epoch; for another form set timestamp_format in the "
        "section of its topic, such as [source.clicks].",
        "^timestamp:",
    ),
    *(
        _Rule(
            "invalid_field",
            f"{_PRODUCER} `{field}`; if the records have another name for it, map it in the "
            "section of its topic, such as [source.clicks.fields].",
            f"^{field}: it is required",
        )
        for field in ("anonymous_id", "product_id")
    ),
    _Rule(
        "invalid_field",
        f"{_PRODUCER} `anonymous_id` as a string of 1 to 512 characters.",
        "^anonymous_id:",
    ),
    _Rule(
        "invalid_field",
        f"{_PRODUCER} `product_id` as a string of 1 to 512 characters or an integer.",
        "^product_id:",
    ),
    _Rule(
        "invalid_field",
        f"{_PRODUCER} `event_id` as a string of at most 128 characters or an integer, or leave "
        "it out.",
        "^event_id:",
    ),
    _Rule(
        "invalid_field",
        f"{_PRODUCER} `quantity` as an integer of at least 1, or leave it out.",
        "^quantity:",
    ),
    _Rule(
        "invalid_field",
        f"{_PRODUCER} `consent` as an object of vendor keys with true or false, such as "
        '{"miso": true}, or leave it out.',
        "^consent",
    ),
    _Rule(
        "invalid_field",
        f"{_PRODUCER} the field that the detail names as raw events have it; or map it from "
        "another field.",
    ),
    _Rule(
        "key_mismatch",
        f"{_PRODUCER} whole characters in `anonymous_id`: half a surrogate pair is left when a "
        "text is cut within a character.",
        "half a surrogate pair",
    ),
    _Rule(
        "key_mismatch",
        "The producer must use `anonymous_id` as the record's key, with the partitioner murmur2 "
        "(librdkafka: murmur2_random), so that an event meets its visitor's row.",
    ),
    _Rule(
        "too_large",
        f"{_PRODUCER} records of at most 1 MiB, without images or whole pages in them.",
        "^the record has",
        "ingest",
    ),
    _Rule(
        "too_large",
        "Map shorter texts in the section's fields in streams.toml; then send it again with "
        "`streams dead-letters resend --vendor ingest`.",
        owner="ingest",
    ),
    _Rule(
        "too_large",
        f"{_PRODUCER} events of at most 256 KiB: look for whole pages, titles or payloads in the "
        "event.",
        owner="enrich",
    ),
    _Rule(
        "too_large",
        f"{_PRODUCER} shorter texts (page, campaign, user_agent, category, name): mapped for this "
        "vendor, the event is over 256 KiB.",
    ),
    _Rule(
        "invalid_payload",
        "Shorten that id at its source: Miso takes user_id up to 512, anonymous_id up to 1,024 "
        "and product_ids up to 512 characters.",
        "takes at most",
        "miso",
    ),
    _Rule(
        "invalid_payload",
        f"{_COMPARE_SCHEMA}; then correct the schema, or the setting [voyado] click_schema_id or "
        "add_to_cart_schema_id that names it.",
        "^schema ",
        "voyado",
    ),
    _Rule(
        "invalid_payload",
        _STRANGER,
        "no interaction",
        "voyado",
    ),
    _Rule(
        "invalid_payload",
        f"The payload breaks the vendor's rules: correct the field that the detail names, at its "
        f"source; if it looks right there, {_REPORT}.",
    ),
    _Rule(
        "unknown_contact",
        "Voyado Engage has no contact of this id (deleted or merged): correct `contact_id` in the "
        "visitor's row of shop.users, or leave it out so that custom_key is looked up.",
    ),
    _Rule(
        "undeliverable",
        "The vendor fails on this event and accepts others: look in the record for unusual "
        "addresses, characters or lengths that its firewall may block, or ask its support and "
        "quote the detail; then resend the event.",
    ),
    _Rule("defect", f"A bug in streams, not a mistake in the event: {_REPORT}."),
    _Rule(
        "rejected",
        "The request was too large for the vendor: set [miso] batch_bytes lower; an event that is "
        "refused by itself must become smaller at its source.",
        owner="miso",
        status=413,
    ),
    _Rule(
        "rejected",
        "The event is too large for the vendor: shorten its texts at their source.",
        status=413,
    ),
    _Rule(
        "rejected",
        "The id is not in Miso's catalogue: upload the product there, or set [miso] product_id to "
        "the id that the catalogue has (sku or product_id).",
        "product_ids|product_group_ids",
        "miso",
    ),
    _Rule(
        "rejected",
        "Miso refuses the time of the event: look at what the producer sends as `timestamp` "
        "(far past or future), or set [miso] max_age_hours.",
        r"\btimestamp\b",
        "miso",
    ),
    _Rule(
        "rejected",
        f"Miso refuses an id of the visitor: {_MISO_SCHEMA}; correct it in the event or in the "
        "visitor's row of shop.users.",
        r"\b(user_id|anonymous_id)\b",
        "miso",
    ),
    _Rule(
        "rejected",
        "The producer must send `miso_id` as the UUID that Miso's answer gave, or leave it out.",
        r"\bmiso_id\b",
        "miso",
    ),
    _Rule(
        "rejected",
        "The producer must send `quantity` as an integer of at least 1.",
        r"\bquantities\b",
        "miso",
    ),
    _Rule(
        "rejected",
        "Miso refuses the kind of event: correct [miso] click_type.",
        r"(^|\W)type (is invalid|was|must|:)",
        "miso",
    ),
    _Rule(
        "rejected",
        "Miso refuses the context of the event: correct the field of `page`, `campaign`, `locale` "
        "or `region` that the detail names, at its source.",
        r"\bcontext\b",
        "miso",
    ),
    _Rule(
        "rejected",
        f"Miso refuses this record: {_MISO_SCHEMA}; correct the producer, or, if the record looks "
        f"right, {_REPORT}.",
        owner="miso",
    ),
    _Rule(
        "rejected",
        "8SELECT refuses the sku: correct `sku` in shop.products or in the event, and check "
        "that 8SELECT's product feed contains it.",
        r"\bsku\b",
        "eightselect",
    ),
    _Rule(
        "rejected",
        "8SELECT refuses the visitor's id: `eightselect_user_id` must be the UUID in the cookie "
        "_8s_cid, or be left out.",
        r"/user\b|\buser[ ._]?id\b",
        "eightselect",
    ),
    _Rule(
        "rejected",
        "8SELECT refuses the content: the producer must send `content` with a type of customSet, "
        "matchingProductClusters or similarProducts and the id that 8SELECT gave.",
        r"\bcontent\b|customSet|matchingProductClusters|similarProducts",
        "eightselect",
    ),
    _Rule(
        "rejected",
        "8SELECT refuses price, currency or quantity: send prices from 0 on, ISO 4217 currencies "
        "and whole quantities from 1 on, in the event or in shop.products.",
        "price|currency|quantity|amount",
        "eightselect",
    ),
    _Rule(
        "rejected",
        "8SELECT refuses this event: look at the place that the detail names; correct the "
        f"producer, or, if the event looks right, {_REPORT}.",
        owner="eightselect",
    ),
    _Rule(
        "rejected",
        f"Voyado answered with success but stored nothing: {_COMPARE_SCHEMA}.",
        "was not stored",
        "voyado",
    ),
    _Rule(
        "rejected",
        "Voyado refuses the contact's id: `contact_id` in shop.users must be the long GUID of a "
        "contact, not the short form of links in mails.",
        "contact",
        "voyado",
    ),
    _Rule(
        "rejected",
        "Voyado refuses the time of the event: look at what the producer sends as `timestamp`.",
        "created.?date",
        "voyado",
    ),
    _Rule(
        "rejected",
        f"Voyado refuses the interaction: {_COMPARE_SCHEMA}; if they agree, ask Voyado's support "
        "and quote the detail.",
        owner="voyado",
    ),
    _Rule(
        "rejected",
        "The vendor refuses this event: correct what the detail names, at its source.",
    ),
)
_COMPILED = tuple((rule, re.compile(rule.words, re.IGNORECASE)) for rule in _RULES)

_MAX_WORDS = 1_000
UNKNOWN = "There is no advice for this reason: look at the letter with `streams dead-letters show`."


def likely_fix(owner: str, reason: str, detail: str, status: int | None = None) -> str:
    """Return the sentence for a letter, whatever its words; ``owner``: a vendor or ``enrich``."""
    words = detail[:_MAX_WORDS]
    for rule, pattern in _COMPILED:
        if (
            rule.reason == reason
            and rule.owner in {"", owner}
            and rule.status in {0, status}
            and pattern.search(words)
        ):
            return rule.fix
    return UNKNOWN
