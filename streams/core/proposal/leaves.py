"""What sampled documents consist of: each scalar with its JMESPath, its types and its values."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from streams.core.values import id_text, is_absent

MAX_LEAVES = 500
MAX_DEPTH = 7
_KEPT_VALUES = 2_000
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ID_FIRST = re.compile(r"^(id|ref|no|num|nr|code|key)_(\w+)$")
_NO_WORD = re.compile(r"[^a-z0-9]+")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "é": "e", "è": "e"})


@dataclass(slots=True)
class Leaf:
    """One scalar of the documents."""

    expression: str
    """JMESPath from the document, or from the element of ``list_of``."""
    words: str
    """Its path in small letters, words joined by ``_``, as ``item_product_id``."""
    list_of: str | None = None
    """The JMESPath of the list of objects in which it stands; None: it stands in no list."""
    documents: int = 0
    """How many documents have it, neither null nor blank."""
    types: Counter[type] = field(default_factory=Counter)
    values: list[Any] = field(default_factory=list)
    """The first of its values."""

    @property
    def distinct(self) -> int:
        """How many different values were kept."""
        return len(set(map(repr, self.values)))

    @property
    def ids(self) -> set[str]:
        """Its values as ids."""
        found = {id_text(value) for value in self.values}
        return {value for value in found if type(value) is str}

    def fits(self, accepts: Any, share: float = 0.95) -> bool:
        """Return whether nearly all values are accepted."""
        good = sum(1 for value in self.values if accepts(value))
        return bool(self.values) and good >= share * len(self.values)


def quoted_name(name: str) -> str:
    """Return a field's name as JMESPath writes it."""
    return name if _PLAIN_NAME.fullmatch(name) else msgspec.json.encode(name).decode()


def literal(value: Any) -> str:
    """Return a scalar as a literal of JMESPath."""
    if type(value) is str and "\\" not in value and value.isprintable():
        return "'" + value.replace("'", "\\'") + "'"
    text = msgspec.json.encode(value).decode()
    return "`" + text.replace("`", "\\`") + "`"


def words_of(name: str) -> str:
    """Return a name in small letters, its words joined by ``_``, ``id_`` and the like last."""
    spread = _CAMEL.sub("_", name).lower().translate(_UMLAUTS)
    words = _NO_WORD.sub("_", spread).strip("_")
    return _ID_FIRST.sub(r"\2_\1", words)


def leaves_of(documents: Sequence[Mapping[str, Any]]) -> list[Leaf]:
    """Return the scalars of these documents, in the order in which they first appear."""
    found: dict[tuple[str | None, str], Leaf] = {}
    for document in documents:
        seen: set[tuple[str | None, str]] = set()
        _walk(document, (), None, found, seen)
        for place in seen:
            found[place].documents += 1
    return list(found.values())


def _walk(
    value: Any,
    path: tuple[str, ...],
    list_of: str | None,
    found: dict[tuple[str | None, str], Leaf],
    seen: set[tuple[str | None, str]],
) -> None:
    if type(value) is dict:
        if len(path) < MAX_DEPTH:
            for name, item in value.items():
                _walk(item, (*path, str(name)), list_of, found, seen)
    elif type(value) is list:
        pairs = _named_values(value)
        if pairs is not None and list_of is None:
            _walk_pairs(pairs, path, found, seen)
        elif list_of is None and value and all(type(item) is dict for item in value):
            inner = _expression(path)
            for item in value[:20]:
                _walk(item, (), inner, found, seen)
    elif not is_absent(value):
        words = [words_of(name) for name in path]
        if list_of is not None:
            words.insert(0, words_of(list_of.rpartition(".")[2]))
        _see((list_of, _expression(path)), "_".join(words), value, found, seen)


def _see(
    place: tuple[str | None, str],
    words: str,
    value: Any,
    found: dict[tuple[str | None, str], Leaf],
    seen: set[tuple[str | None, str]],
) -> None:
    leaf = found.get(place)
    if leaf is None:
        if len(found) >= MAX_LEAVES:
            return
        list_of, expression = place
        leaf = found[place] = Leaf(expression, words, list_of)
    seen.add(place)
    leaf.types[type(value)] += 1
    if len(leaf.values) < _KEPT_VALUES:
        leaf.values.append(value)


def _expression(path: Iterable[str]) -> str:
    return ".".join(map(quoted_name, path))


def _named_values(value: list[Any]) -> tuple[str, str, list[dict[str, Any]]] | None:
    """Return (name of the key, name of the value, entries) of a list of named values."""
    if not value or not all(type(item) is dict for item in value):
        return None
    for key in ("key", "name"):
        if all(set(item) == {key, "value"} and type(item[key]) is str for item in value):
            return key, "value", value
    return None


def _walk_pairs(
    pairs: tuple[str, str, list[dict[str, Any]]],
    path: tuple[str, ...],
    found: dict[tuple[str | None, str], Leaf],
    seen: set[tuple[str | None, str]],
) -> None:
    key, value, entries = pairs
    for entry in entries[:100]:
        base = f"{_expression(path)}[?{key}=={literal(entry[key])}].{value}"
        words = words_of(entry[key])
        item = entry[value]
        if type(item) is dict:
            for name, inner in item.items():
                if type(inner) not in {dict, list} and not is_absent(inner):
                    place = (None, f"{base}.{quoted_name(name)} | [0]")
                    _see(place, words, inner, found, seen)
        elif type(item) is not list and not is_absent(item):
            _see((None, f"{base} | [0]"), words, item, found, seen)
