"""docs/vendors: each sentence of a vendor's documents has a test, and each named test is there."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import BaseModel

import streams.vendors.eightselect.models
import streams.vendors.miso.models
import streams.vendors.voyado.definition
import streams.vendors.voyado.models
from streams.vendors import VENDORS
from streams.vendors.base import RequestModel

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "vendors"
MODELS = {
    "eightselect": (streams.vendors.eightselect.models,),
    "voyado": (streams.vendors.voyado.models, streams.vendors.voyado.definition),
    "miso": (streams.vendors.miso.models,),
}


class Sentence(NamedTuple):
    """One row of a page."""

    said: str
    done: str
    tests: tuple[str, ...]


def sentences(vendor: str) -> Iterator[Sentence]:
    """The rows of all tables of a page."""
    for line in (FOLDER / f"{vendor}.md").read_text("utf-8").splitlines():
        if line.startswith("| ") and not re.match(r"\| (---|\w+ says|open) ", line):
            said, done, tests = (cell.strip() for cell in line.strip("|").split(" | "))
            yield Sentence(said, done, tuple(re.findall(r"`(tests/[^`]+)`", tests)))


@cache
def functions_of(path: str) -> frozenset[str]:
    """The test functions of a file; none where it is not there."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    nodes = ast.walk(ast.parse(file.read_text("utf-8")))
    return frozenset(
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


def test_there_is_a_page_for_each_vendor() -> None:
    """By its key."""
    assert {path.stem for path in FOLDER.glob("*.md")} == set(VENDORS)


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_sentence_has_a_test_that_is_there(vendor: str) -> None:
    """By file and name; and says what is done about it."""
    rows = list(sentences(vendor))
    assert len(rows) > 15
    assert [row.said for row in rows if not (row.done and row.tests)] == []
    named = [test for row in rows for test in row.tests]
    missing = [t for t in named if t.partition("::")[2] not in functions_of(t.partition("::")[0])]
    assert missing == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_sentence_that_a_model_quotes_stands_on_the_page(vendor: str) -> None:
    """So none of them is without a test."""
    page = plain(" ".join(row.said for row in sentences(vendor)))
    quoted = {
        field.description
        for module in MODELS[vendor]
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, BaseModel) and model is not RequestModel
        for field in model.model_fields.values()
        if field.description
    }
    assert len(quoted) > 5
    assert [words for words in quoted if plain(words) not in page] == []


def plain(text: str) -> str:
    """A text without marks, in one spelling."""
    return re.sub(r"[^a-z0-9]+", " ", text.lower())
