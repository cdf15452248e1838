"""From samples to sections: known shapes first, then by names, types and joins."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.core.fields import FIELDS
from streams.core.kinds import KINDS
from streams.core.present_fields import REQUIRED
from streams.core.proposal.consent import consent_remarks
from streams.core.proposal.documents import MANY, Documents, as_found, events_of, found_in, unwrap
from streams.core.proposal.fields import (
    Joins,
    adapted,
    chosen_leaves,
    content_leaves,
    first_that_finds,
    leaf_expressions,
    other_meanings,
)
from streams.core.proposal.known import KNOWN, KnownShape, Part
from streams.core.proposal.leaves import Leaf, leaves_of, literal, words_of
from streams.core.proposal.model import (
    Answers,
    FoundField,
    Proposal,
    ProposedSection,
    SetupQuestion,
    TopicSample,
)
from streams.core.proposal.names import (
    EVENT_FIELDS,
    PRODUCT_FIELDS,
    USER_FIELDS,
    is_called,
    is_called_price,
    is_purchase,
    is_seen,
    kind_of_event,
    worth,
)
from streams.core.proposal.orders import (
    elements_of,
    found_order,
    order_lines,
    repeated_orders,
)
from streams.core.proposal.tables import Table, product_table, user_table
from streams.core.proposal.time_guess import TimeGuess
from streams.core.quantities import count, percent
from streams.core.values import id_text, is_absent

WHAT_TOPICS_HOLD = (*KINDS, "users", "products", "none")
_NAME_WORDS = (
    (
        re.compile(
            r"(?:^|_)(?:event|action|aktion|ereignis|behaviou?r|activity|interaction|evenement"
            r"|evento|accion|azione)"
        ),
        2,
    ),
    (re.compile(r"(?:^|_)(?:type|typ|kind|art|name|verb|what)$"), 1),
)
_MAX_NAMES = 60
_MAX_NAME_CHARS = 38
"""Of a section; settings take 40."""
_NO_WORD = re.compile(r"[^a-z0-9]+")
_SHOWN_NAMES = 6
_PROBABLY = 2.0
"""From this score on a topic is what it looks like; below, somebody is asked."""


@dataclass(slots=True)
class _Topic:
    sample: TopicSample
    documents: Documents
    known: KnownShape | None
    leaves: list[Leaf]
    role: str = "events"
    table: Table | None = None


@dataclass(slots=True)
class _FieldNames:
    """Which values of the field that names events mean what."""

    expression: str
    counts: Counter[Any] = field(default_factory=Counter)
    clicks: list[Any] = field(default_factory=list)
    carts: list[Any] = field(default_factory=list)
    orders: list[Any] = field(default_factory=list)
    contents: list[Any] = field(default_factory=list)

    def by_source(self) -> dict[str, list[Any]]:
        """Return the values by the source that takes them."""
        return {
            "clicks": self.clicks,
            "add-to-carts": self.carts,
            "orders": self.orders,
            "content-views": self.contents,
        }


def propose(samples: Sequence[TopicSample], answers: Answers | None = None) -> Proposal:
    """Return sections for these samples; ``answers`` are by the questions' names."""
    return _Proposer(samples, answers or {}).propose()


class _Proposer:
    def __init__(self, samples: Sequence[TopicSample], answers: Answers) -> None:
        self._answers = answers
        self._proposal = Proposal()
        self._topics = [self._look(sample) for sample in samples]

    def propose(self) -> Proposal:
        for topic in self._topics:
            self._say_role(topic)
        tables = [(t.role, t.table) for t in self._topics if t.table is not None]
        joins = Joins(
            frozenset(key for role, table in tables if role == "products" for key in table.keys),
            frozenset(sku for role, table in tables if role == "products" for sku in table.skus),
            frozenset(key for role, table in tables if role == "users" for key in table.keys),
        )
        for topic in self._topics:
            if topic.sample.needs_registry:
                self._proposal.remarks.append(
                    f"{topic.sample.topic} holds Avro records: set [registry] url "
                    "(STREAMS_REGISTRY_URL) and run this again."
                )
                continue
            if topic.sample.unreadable:
                why = f" ({topic.sample.problem})" if topic.sample.problem else ""
                self._proposal.remarks.append(
                    f"{topic.sample.topic}: {count(topic.sample.unreadable, 'record')} cannot be "
                    f"read as {topic.sample.format}{why}."
                )
            if not topic.documents.values:
                self._proposal.remarks.append(
                    f"{topic.sample.topic} has no record with a JSON object; nothing is proposed. "
                    "Try again once the shop writes its events or rows there as JSON objects."
                )
            elif topic.known is not None:
                self._known(topic, topic.known)
            elif topic.role == "events":
                self._events(topic, joins)
            elif topic.table is not None:
                self._table(topic, topic.table)
        self._say_joins(joins)
        self._settle_product_keys(joins)
        self._ask_for_consent()
        return self._proposal

    # -- what a topic is

    def _look(self, sample: TopicSample) -> _Topic:
        documents = unwrap(sample)
        values = documents.values
        known = next(
            (
                shape
                for shape in KNOWN
                if values and sum(map(shape.looks, values)) >= MANY * len(values)
            ),
            None,
        )
        return _Topic(sample, documents, known, leaves_of(values))

    def _say_role(self, topic: _Topic) -> None:
        if topic.known is not None or not topic.documents.values:
            return
        of_events = [
            t.leaves
            for t in self._topics
            if t is not topic and (t.known is not None or _looks_like_events(t) >= _PROBABLY)
        ]
        products = product_table(topic.documents, topic.leaves, topic.sample, of_events)
        users = user_table(topic.documents, topic.leaves, topic.sample)
        events = _looks_like_events(topic)
        scores = {
            "events": events,
            "products": products.score if products else 0.0,
            "users": users.score if users else 0.0,
        }
        best = max(scores, key=lambda role: scores[role])
        said = self._ask(
            SetupQuestion(
                f"kind:{topic.sample.topic}",
                f"What does {topic.sample.topic} contain?",
                WHAT_TOPICS_HOLD,
                best if scores[best] >= _PROBABLY else "none",
            )
            if scores[best] < _PROBABLY
            else None
        )
        role = best if said is None else "events" if said in KINDS else said
        topic.role = role
        topic.table = {"products": products, "users": users}.get(role)
        if role == "none":
            self._proposal.remarks.append(
                f"{topic.sample.topic} looks like none of clicks, add-to-carts, users and "
                "products; nothing is proposed for it. "
                "Write its section yourself: streams.example.toml has the settings."
            )

    def _ask(self, question: SetupQuestion | None) -> str | None:
        """Return the answer, or the default; None where nothing is asked."""
        if question is None:
            return None
        if all(asked.name != question.name for asked in self._proposal.questions):
            self._proposal.questions.append(question)
        return self._answers.get(question.name) or question.default

    # -- events

    def _known(self, topic: _Topic, known: KnownShape) -> None:
        documents = topic.documents.values
        names = _FieldNames(known.event_name, _count_names(known.event_name, documents))
        for part in known.parts:
            if part.to == "users":
                self._identities(topic, known, part)
                continue
            name = next((name for name in part.names if names.counts[name]), None)
            if name is None:
                continue
            names.by_source()[part.to].append(name)
            text = literal(name)
            when = (
                f"contains({known.event_name}, {text})"
                if known.has_many_events
                else f"{known.event_name} == {text}"
            )
            each = part.each.replace("{name}", text) if part.each else None
            records, events = events_of(documents, when, each)
            expressions = {}
            for ours, candidates in part.fields.items():
                spelled = [candidate.replace("{name}", text) for candidate in candidates]
                # A field that no event of this kind has may stand in others of the topic.
                chosen = first_that_finds(spelled, events) or first_that_finds(spelled, documents)
                if chosen is not None:
                    expressions[ours] = chosen
            section = self._section(topic, part.to, known.title, when=when, each=each)
            if part.lines is not None:
                elements = elements_of(part.lines.list_of, events)
                lines = {
                    ours: chosen
                    for ours, candidates in part.lines.fields.items()
                    if (chosen := first_that_finds(candidates, elements)) is not None
                }
                self._set_lines(section, expressions, part.lines.list_of, lines, elements)
            if known.has_many_events and part.lines is None:
                section.remarks += _several_in_one(known, name, documents)
            section.remarks += _other_visitors(expressions.get("anonymous_id", ""), events)
            self._fill(section, expressions, events, records)
        self._say_left_over(topic, names)

    def _set_lines(
        self,
        section: ProposedSection,
        expressions: dict[str, str],
        list_of: str,
        lines: Mapping[str, str],
        elements: Sequence[Mapping[str, Any]],
    ) -> None:
        """Take the lines of an order into the section and its expressions."""
        section.lines, remarks = order_lines(list_of, lines, elements)
        expressions["lines"] = section.lines.expression()
        section.remarks += remarks
        section.remarks.append("lines: vendors need the gross price of one unit; check that it is.")

    def _identities(self, topic: _Topic, known: KnownShape, part: Part) -> None:
        when = "type == 'identify'"
        records, rows = events_of(topic.documents.values, when, None)
        if not rows:
            return
        expressions = {
            ours: chosen
            for ours, candidates in part.fields.items()
            if (chosen := first_that_finds(candidates, rows)) is not None
        }
        key = expressions.pop("key", None)
        # A row without any field would be malformed, and say no to every vendor.
        when += f" && ({' || '.join(expressions.values())})" if expressions else ""
        records, rows = events_of(topic.documents.values, when, None)
        section = self._section(topic, "users", f"{known.title}, identify", when=when)
        self._fill(section, expressions, rows, records, key=key)
        section.remarks += [
            f"{name}: a row replaces the visitor's row before it, and {percent(1 - found.share, 1)}"
            f" of these rows have no {name}: it is then forgotten."
            for name, found in section.fields.items()
            if found.share < 1
        ]

    def _events(self, topic: _Topic, joins: Joins) -> None:
        documents = topic.documents.values
        names = _event_names(topic.leaves, documents)
        parts: list[tuple[str, str | None]]
        if names is None:
            to = self._kind_without_names(topic)
            parts = [] if to == "none" else [(to, None)]
            if topic.sample.headers:
                self._proposal.remarks.append(
                    f"{topic.sample.topic}: its records have the headers "
                    f"{', '.join(topic.sample.headers)}, which expressions cannot see. If a header "
                    "says what happened, let the producer write it into the value; with "
                    "CloudEvents, use the structured mode."
                )
        else:
            parts = [
                (to, _is_one_of(names.expression, values))
                for to, values in names.by_source().items()
                if values
            ]
            self._say_left_over(topic, names)
        # Events of one topic have their visitor, time and page in one place.
        counted = [
            document for _, when in parts for document in events_of(documents, when, None)[1]
        ]
        shared = _chosen(counted, names, joins)
        for to, when in parts:
            own = events_of(documents, when, None)[1]
            if to == "orders":
                self._guessed_orders(topic, when, own, joins)
                continue
            taken = _merged(shared, _chosen(own, names, joins), to)
            self._guessed(topic, to, when, taken | content_leaves(leaves_of(own)))

    def _kind_without_names(self, topic: _Topic) -> str:
        said = self._answers.get(f"kind:{topic.sample.topic}")
        if said in WHAT_TOPICS_HOLD:
            return said
        if found_order(topic.leaves, len(topic.documents.values)) is not None:
            return "orders"
        kind = kind_of_event(_last_words(topic.sample.topic))
        if kind is None:
            kind = kind_of_event(topic.sample.topic)
        if kind is not None:
            return "add-to-carts" if kind == "cart" else "clicks"
        taken = chosen_leaves(topic.leaves, EVENT_FIELDS, len(topic.documents.values))
        default = "add-to-carts" if "quantity" in taken else "clicks"
        self._proposal.remarks.append(
            f"{topic.sample.topic}: no field names what happened, so all records are taken as "
            f"{default}. If they are not, run this on a terminal and answer what they are."
        )
        return (
            self._ask(
                SetupQuestion(
                    f"kind:{topic.sample.topic}",
                    f"No field of {topic.sample.topic} names what happened. What are its records?",
                    WHAT_TOPICS_HOLD,
                    default,
                )
            )
            or default
        )

    def _guessed(self, topic: _Topic, to: str, when: str | None, taken: dict[str, Leaf]) -> None:
        if taken.get("anonymous_id") is not None and taken["anonymous_id"].words == "user_id":
            taken.setdefault("user_id", taken["anonymous_id"])
        if "product_id" not in taken and "sku" in taken:
            taken["product_id"] = taken["sku"]
        product = taken.get("product_id")
        if "sku" not in taken and product is not None and product.words.endswith("sku"):
            taken["sku"] = product
        each, expressions = leaf_expressions(taken)
        records, events = events_of(topic.documents.values, when, each)
        section = self._section(topic, to, "recognised by names and values", when=when, each=each)
        if to == "add-to-carts" and "quantity" not in taken:
            section.remarks += [
                f"quantity: {leaf.expression} has values that are no whole number, such as "
                f"{str(leaf.values[0])[:40]}; it is not read, and each event counts as one piece."
                for leaf in leaves_of(events)
                if leaf.list_of is None and is_called("quantity", leaf)
            ][:1]
        price = taken.get("price")
        if "quantity" in taken and price is not None and not is_called_price(price):
            section.remarks.append(
                f"price: {expressions['price']} may be the price of all pieces; vendors need that "
                "of one: if it is, remove the line."
            )
        self._fill(section, expressions, events, records)

    def _guessed_orders(
        self,
        topic: _Topic,
        when: str | None,
        documents: Sequence[Mapping[str, Any]],
        joins: Joins,
    ) -> None:
        leaves = leaves_of(documents)
        order = found_order(leaves, len(documents), joins)
        section = self._section(topic, "orders", "recognised by names and values", when=when)
        expressions: dict[str, str] = {}
        if order is not None:
            expressions = {name: leaf.expression for name, leaf in order.fields.items()}
            elements = elements_of(order.list_of, documents)
            self._set_lines(section, expressions, order.list_of, order.lines, elements)
        self._fill(section, expressions, documents, len(documents))

    def _fill(
        self,
        section: ProposedSection,
        expressions: Mapping[str, str],
        events: Sequence[Mapping[str, Any]],
        records: int,
        key: str | None = None,
    ) -> None:
        """Complete a section and add it to the proposal."""
        section.records, section.events = records, len(events)
        fields, times, remarks = adapted(expressions, events)
        section.fields = {name: fields[name] for name in sorted(fields, key=_place_of)}
        section.remarks += remarks
        if section.to == "orders" and "order_id" in fields:
            repeated = repeated_orders(fields["order_id"].expression, events)
            section.remarks += [repeated] if repeated else []
        if key is not None:
            section.key = as_found(key, events)
        # A row's other fields are left out where they do not fit; a wrong consent says no to all.
        names = {"users": ("consent",), "products": ()}.get(section.to, FIELDS)
        for name, text in other_meanings(section.fields, events, names).items():
            section.fields[name] = FoundField(text, 0.0, None)
            section.remarks.append(
                "consent: the record's own field of this name does not say it for our vendors; it "
                "is not read."
                if name == "consent"
                else f"{name}: the record's own field of this name has values that do not fit; it "
                "is not read."
            )
        if section.to in KINDS:
            if not any(map(_is_of_consent, section.fields.items())):
                section.remarks += consent_remarks(leaves_of(events))
            if times is not None:
                self._say_times(section, times)
            for missing in sorted(REQUIRED[KINDS[section.to].event], key=_place_of):
                if missing not in section.fields:
                    or_else = (
                        ", or visitor_from, where other records say whose an order or a user is"
                        if missing == "anonymous_id" and "order_id" in section.fields
                        else ""
                    )
                    section.remarks.append(
                        f"{missing} is required, and no field looks like it: write its expression"
                        f"{or_else}."
                    )
        self._proposal.sections.append(section)

    def _say_times(self, section: ProposedSection, times: TimeGuess) -> None:
        example = times.example or section.fields["timestamp"].example
        section.timestamp_format = times.formats
        if times.or_else is not None:
            first = times.formats[0]
            said = self._ask(
                SetupQuestion(
                    f"format:{section.topic}",
                    f"Times of {section.topic} such as {example} can be read in two ways. Which?",
                    (first, times.or_else),
                    first,
                )
            )
            section.timestamp_format = (said or first,)
        if section.envelope == "debezium" and type(example) is int:
            section.remarks.append(
                "timestamp: Debezium writes a column without zone, such as DATETIME, as if it were "
                "UTC. If the database keeps local times in it, take a column with zone (TIMESTAMP)."
            )
        if times.has_no_zone:
            section.timezone = self._ask(
                SetupQuestion(
                    f"timezone:{section.topic}",
                    f"Times of {section.topic} such as {example} have no zone. In which IANA zone "
                    "are they?",
                    (),
                    "UTC",
                )
            )
            if f"timezone:{section.topic}" not in self._answers:
                section.remarks.append(
                    f"timezone: times such as {example} have no zone; UTC is assumed."
                )

    # -- tables

    def _table(self, topic: _Topic, table: Table) -> None:
        documents = topic.documents.values
        section = self._section(topic, topic.role, table.title)
        section.remarks += table.remarks
        self._fill(section, table.expressions, documents, len(documents), key=table.key)

    def _settle_product_keys(self, joins: Joins) -> None:
        """Say what the product id is where no products topic says it."""
        without = [s for s in self._proposal.sections if s.to in KINDS and _has_no_sku(s)]
        if joins.products or not without:
            return
        said = self._ask(
            SetupQuestion(
                "sku",
                "There is no products topic. Is the product id of the events also the SKU that "
                "vendors know?",
                ("yes", "no"),
                "yes" if all("GA4" in section.shape for section in without) else "no",
            )
        )
        for section in without:
            if said == "yes" and section.lines is not None:
                found, lines = section.fields["lines"], section.lines
                fields = dict(lines.fields) | {"sku": lines.fields["product_id"]}
                section.lines = lines._replace(fields=fields)
                section.fields["lines"] = found._replace(expression=section.lines.expression())
            elif said == "yes":
                section.fields["sku"] = section.fields["product_id"]
            else:
                section.remarks.append(
                    "sku: without a products topic events need a SKU of their own; if the product "
                    "id is one, write sku with the same expression."
                )

    def _say_joins(self, joins: Joins) -> None:
        """Say of each section of events how many of its ids are keys of the tables."""
        documents = {topic.sample.topic: topic.documents.values for topic in self._topics}
        for section in self._proposal.sections:
            _, events = events_of(documents[section.topic], section.when, section.each)
            for name, keys, what in (
                ("product_id", joins.products, "products"),
                ("anonymous_id", joins.users, "users"),
            ):
                found = section.fields.get(name)
                if not keys or found is None or section.to not in KINDS:
                    continue
                ids = {id_text(value) for value in found_in(found.expression, events)} - {None}
                met = 100 * len(ids & keys) / max(1, len(ids))
                none = "" if ids & keys else f" No event finds its row of {what} then."
                section.remarks.append(
                    f"{name}: {met:.0f} % of its values are keys of the {what}.{none}"
                )

    def _say_left_over(self, topic: _Topic, names: _FieldNames) -> None:
        used = {value for values in names.by_source().values() for value in values}
        left = [(name, count) for name, count in names.counts.most_common() if name not in used]
        if left:
            shown = ", ".join(f"{name} ({count:,})" for name, count in left[:_SHOWN_NAMES])
            more = f" and {len(left) - _SHOWN_NAMES} more" if len(left) > _SHOWN_NAMES else ""
            self._proposal.remarks.append(
                f"{topic.sample.topic}: no section takes these events: {shown}{more}."
            )
        without = sum(found is None for found in found_in(names.expression, topic.documents.values))
        of_users = [s for s in self._proposal.sections if s.topic == topic.sample.topic]
        without -= sum(section.records for section in of_users if section.to == "users")
        if without > 0:
            self._proposal.remarks.append(
                f"{topic.sample.topic}: no section takes {count(without, 'record')} that "
                f"{'has' if without == 1 else 'have'} no {names.expression}."
            )

    def _ask_for_consent(self) -> None:
        sections = self._proposal.sections
        if not sections or any(
            _is_of_consent(field) for section in sections for field in section.fields.items()
        ):
            return
        may_say = any(
            remark.startswith("consent: ") for section in sections for remark in section.remarks
        )
        self._proposal.consent_mode = self._ask(
            SetupQuestion(
                "consent",
                (
                    "No field says for our vendors whether a visitor has consented, but some may "
                    "say it for all: see the remarks that begin with consent."
                    if may_say
                    else "No field says whether a visitor has consented."
                )
                + " Answer required: nothing is sent until events or user rows give consent. "
                "Answer assumed: these topics contain only events of visitors who have consented.",
                ("required", "assumed"),
                "required",
            )
        )

    def _section(
        self,
        topic: _Topic,
        to: str,
        shape: str,
        when: str | None = None,
        each: str | None = None,
    ) -> ProposedSection:
        end = f"-{to}" if topic.role == "events" else ""
        base = _NO_WORD.sub("-", topic.sample.topic.lower())
        # The end of a long name says more than its beginning.
        name = base[-(_MAX_NAME_CHARS - len(end)) :].strip("-") + end
        taken = {section.name for section in self._proposal.sections}
        while name in taken:
            name += "-2"
        return ProposedSection(
            name,
            topic.sample.topic,
            to,
            shape,
            format=topic.sample.format,
            envelope=topic.documents.envelope,
            when=when,
            each=each,
        )


def _chosen(
    documents: Sequence[Mapping[str, Any]], names: _FieldNames | None, joins: Joins
) -> dict[str, Leaf]:
    named_by = None if names is None else names.expression
    leaves = [leaf for leaf in leaves_of(documents) if leaf.expression != named_by]
    return chosen_leaves(leaves, EVENT_FIELDS, len(documents), joins)


def _merged(shared: dict[str, Leaf], own: dict[str, Leaf], to: str) -> dict[str, Leaf]:
    """Return the fields of one kind: what both kinds share, and its own where products differ."""
    of_product = ("product_id", "sku", "price", "currency", "quantity")
    merged = {name: leaf for name, leaf in shared.items() if name not in of_product}
    merged |= {name: leaf for name, leaf in own.items() if name in of_product}
    used = {leaf.expression for leaf in merged.values()}
    merged |= {
        name: leaf
        for name, leaf in own.items()
        if name not in merged and leaf.expression not in used
    }
    if to == "clicks":
        merged.pop("quantity", None)
    return merged


def _several_in_one(
    known: KnownShape, name: str, documents: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return what is not right where a record holds several events of this name."""
    several = [names.count(name) > 1 for names in found_in(known.event_name, documents) if names]
    if not any(several):
        return []
    remark = (
        f"{count(sum(several), 'record')} of {count(len(several))} hold several {name}: page and "
        "currency are those of the first, also for the products of the others."
    )
    return [remark]


def _other_visitors(expression: str, events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what happens to visitors who are named by another id where the first is missing."""
    first, *others = expression.split(" || ")
    if not others:
        return []
    without = 1 - as_found(first, events).share
    remark = (
        f"anonymous_id: {percent(without, 1)} of the events have no {first}. By {others[0]} they "
        "count as those of another visitor, without the row and the consent of the first; remove "
        f'"|| {others[0]}" to make them dead letters instead.'
    )
    return [remark]


def _is_of_consent(field: tuple[str, FoundField]) -> bool:
    name, found = field
    return name.partition(".")[0] == "consent" and found.share > 0


def _has_no_sku(section: ProposedSection) -> bool:
    fields = section.fields if section.lines is None else section.lines.fields
    return "product_id" in fields and "sku" not in fields


def _place_of(field: str) -> tuple[int, str]:
    """Return where people look for a field: in the order of the documentation."""
    order = [*FIELDS, "order_id", "lines", "revenue", *PRODUCT_FIELDS, *USER_FIELDS]
    head = field.partition(".")[0]
    return (order.index(head) if head in order else len(order)), field


def _looks_like_events(topic: _Topic) -> float:
    taken = chosen_leaves(topic.leaves, EVENT_FIELDS, len(topic.documents.values))
    score = 1.0 * ("timestamp" in taken) + 1.0 * ("product_id" in taken or "sku" in taken)
    visitor = taken.get("anonymous_id")
    if visitor is not None:
        # Of rows there is one a visitor.
        score += 1.0 if visitor.distinct < 0.9 * len(visitor.values) else 0.3
    if _event_names(topic.leaves, topic.documents.values) is not None:
        score += 1.5
    if found_order(topic.leaves, len(topic.documents.values)) is not None:
        score += 2.0
    words = words_of(topic.sample.topic)
    if re.search(r"event|click|track|cart|view|pixel|hit|log|behavio|export|action|order", words):
        score += 0.7
    return score - (1.0 if topic.documents.envelope != "none" else 0.0)


def _event_names(
    leaves: Sequence[Leaf], documents: Sequence[Mapping[str, Any]]
) -> _FieldNames | None:
    """Return the field that names events and what its values mean; None: there is none."""
    best: tuple[float, _FieldNames] | None = None
    for leaf in leaves:
        if leaf.list_of is not None or leaf.distinct > _MAX_NAMES:
            continue
        if leaf.documents < 0.2 * len(documents) or set(leaf.types) - {str, int}:
            continue
        bonus = next((value for words, value in _NAME_WORDS if words.search(leaf.words)), 0)
        names = _meant(leaf.expression, documents)
        if names is None:
            continue
        of_all = [value for values in names.by_source().values() for value in values]
        meant = sum(names.counts[value] for value in of_all)
        is_sure = meant == leaf.documents or (names.clicks and names.carts)
        if not bonus and not is_sure:
            continue
        score = bonus + meant / len(documents) + bool(names.clicks and names.carts)
        if best is None or score > best[0]:
            best = score, names
    return None if best is None else best[1]


def _meant(expression: str, documents: Sequence[Mapping[str, Any]]) -> _FieldNames | None:
    names = _FieldNames(expression, _count_names(expression, documents))
    kinds: dict[str | None, list[Any]] = {}
    for value in names.counts:
        if is_seen(value) and _holds_content(_is_one_of(expression, [value]), documents):
            names.contents.append(value)
        else:
            kinds.setdefault(kind_of_event(value), []).append(value)
    names.carts = kinds.get("cart", [])
    names.orders = [value for value in names.counts if is_purchase(value)]
    if names.orders:
        bought = events_of(documents, _is_one_of(expression, names.orders), None)[1]
        if found_order(leaves_of(bought), len(bought)) is None:
            names.orders = []  # a line of an order is none
    names.clicks = next(
        (kinds[kind] for kind in ("view", "seen", "click", "page") if kind in kinds), []
    )
    return names if any(names.by_source().values()) else None


def _holds_content(when: str, documents: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether these are no views of products, but of content of a vendor."""
    leaves = leaves_of(events_of(documents, when, None)[1])
    by_name = EVENT_FIELDS["product_id"]
    is_of_product = any(worth("product_id", by_name, x) > by_name.by_type for x in leaves)
    return bool(content_leaves(leaves)) and not is_of_product


def _count_names(expression: str, documents: Sequence[Mapping[str, Any]]) -> Counter[Any]:
    counts: Counter[Any] = Counter()
    for value in found_in(expression, documents):
        for one in value if type(value) is list else [value]:
            if type(one) in {str, int} and not is_absent(one):
                counts[one] += 1
    return counts


def _is_one_of(expression: str, values: Sequence[Any]) -> str:
    if len(values) == 1:
        return f"{expression} == {literal(values[0])}"
    return f"contains([{', '.join(map(literal, values))}], {expression})"


def _last_words(topic: str) -> str:
    return list(_parts(topic))[-1]


def _parts(topic: str) -> Iterator[str]:
    yield topic
    yield from topic.replace("/", ".").split(".")
