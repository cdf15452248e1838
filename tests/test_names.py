"""One name for one thing: no class name exists twice, and no import renames one of our own."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "streams"


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Every node of the package's code, with its module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            yield str(path.relative_to(ROOT)), node


def test_a_class_name_exists_once_in_the_package() -> None:
    """A reader who meets a class name needs no import to know which class it is."""
    modules = defaultdict(list)
    for module, node in nodes():
        if isinstance(node, ast.ClassDef):
            modules[node.name].append(module)
    assert {name: found for name, found in modules.items() if len(found) > 1} == {}


def test_no_import_renames_a_name_of_ours() -> None:
    """Two things of the same name get two names where they are defined."""
    renamed = [
        f"{module}: {alias.name} as {alias.asname}"
        for module, node in nodes()
        for alias in (
            node.names
            if isinstance(node, ast.Import)
            or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("streams"))
            else ()
        )
        if alias.asname and (isinstance(node, ast.ImportFrom) or alias.name.startswith("streams"))
    ]
    assert renamed == []


VAGUE = {"go", "keep", "note", "take", "tell"}
"""As the name of a method they say nothing: see what it does (add, apply, fetch, run, write)."""
PRIVATE = {
    "almanac", "careless", "clerk", "errand", "fate", "fates", "herald", "keeper", "needle",
    "scribe", "strand", "turnstile",
}  # fmt: skip
"""Words that nobody who comes from Kafka or Segment would look for."""


def test_methods_say_what_they_do() -> None:
    """No public method of a class has a name that fits any method."""
    found = [
        f"{module}: {node.name}.{method.name}"
        for module, node in nodes()
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and method.name in VAGUE
    ]
    assert found == []


def test_names_use_the_words_of_the_field() -> None:
    """No function, class, argument or variable, and no module, is named by a private word."""
    found = []
    for module, node in nodes():
        names = [getattr(node, field, None) for field in ("name", "id", "arg", "attr")]
        for name in [*names, Path(module).stem]:
            words = re.findall(r"[A-Z]?[a-z]+", name) if isinstance(name, str) else ()
            found += [f"{module}: {name}" for word in words if word.lower() in PRIVATE]
    assert sorted(set(found)) == []
