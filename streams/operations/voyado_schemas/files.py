"""Folders with interaction schemas, one file each: read and checked as a whole, and written."""

from collections.abc import Mapping, Sequence
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from streams.core.errors import SettingsError, SetupError
from streams.vendors.voyado.definition import (
    Definition,
    DefinitionError,
    id_problems,
    read_definition,
    relay_problems,
    set_problems,
    shown,
)
from streams.vendors.voyado.events import VoyadoEventSettings
from streams.vendors.voyado.inquiries import NO_EVENTS, schema_uses
from streams.vendors.voyado.settings import VoyadoSettings

CLICK_FILE = "productClick.json"
ADD_TO_CART_FILE = "addToCart.json"


def shipped_folder() -> Path:
    """Return the folder of the schemas that come with the relay."""
    return Path(str(package_files("streams.vendors.voyado"))) / "schemas"


def load_definitions(
    folder: Path | None,
    settings: VoyadoSettings,
    events: Mapping[str, VoyadoEventSettings] = NO_EVENTS,
) -> list[Definition]:
    """Return what the files of a folder define, by file name; None: the shipped ones.

    The shipped ones get the ids that the settings name. ``events`` are sections by name. Raises
    SettingsError with every rule that any file breaks, whatever Voyado has.
    """
    found, problems = _read(folder) if folder is not None else (_shipped(settings), [])
    uses = schema_uses(settings, events)
    for file, definition in found.items():
        problems += [
            f"{file}: {words}"
            for use in uses
            if use.schema_id == definition.id
            for words in relay_problems(definition, use.types)
        ]
    problems += set_problems(found)
    if problems:
        sentences = dict.fromkeys(f"{words}." for words in problems)
        raise SettingsError([*sentences, "Nothing was asked of Voyado."])
    return list(found.values())


def _shipped(settings: VoyadoSettings) -> dict[str, Definition]:
    names = {settings.click_schema_id: CLICK_FILE, settings.add_to_cart_schema_id: ADD_TO_CART_FILE}
    return {
        names[id_]: read_definition((shipped_folder() / names[id_]).read_bytes()).named(id_)
        for id_ in dict.fromkeys(use.schema_id for use in schema_uses(settings))
    }


def _read(folder: Path) -> tuple[dict[str, Definition], list[str]]:
    if not folder.is_dir():
        raise SettingsError([f"--dir: there is no folder {folder}."])
    found: dict[str, Definition] = {}
    problems: list[str] = []
    paths = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    for path in paths:
        try:
            found[path.name] = read_definition(path.read_bytes())
        except OSError as error:
            problems.append(f"{path.name}: it cannot be read: {error.strerror or error}")
        except DefinitionError as error:
            problems += [f"{path.name}: {words}" for words in error.problems]
    if not paths:
        raise SettingsError([f"--dir: there are no files *.json in {folder}."])
    return found, problems


def write_definitions(
    folder: Path, definitions: Sequence[Definition], *, overwrite: bool
) -> list[tuple[Path, bool]]:
    """Write each schema into ``<id>.json`` and return the paths, and whether each was written.

    A file with the same content is left as it is. Raises SetupError, and writes nothing, where a
    file with other content is there (unless ``overwrite``), or an id makes no file name.
    """
    contents: dict[Path, str] = {}
    problems: list[str] = []
    for definition in definitions:
        path = folder / f"{definition.id}.json"
        if any(id_problems(definition.id)):
            problems.append(f"Voyado shows the id {shown(definition.id)}, which is none.")
        elif not definition.is_readable:
            problems.append(f"Voyado does not show the schema {definition.id} itself.")
        else:
            contents[path] = f"{definition.text(indent=2)}\n"
    try:
        there = {path: _content(path) for path in contents}
        if not overwrite:
            problems += [
                f"{path} is there with other content; --overwrite replaces it."
                for path, content in there.items()
                if content is not None and content != contents[path].encode()
            ]
        if problems:
            raise SetupError("\n".join([*problems, "Nothing was written."]))
        folder.mkdir(parents=True, exist_ok=True)
        return [(path, _write(path, text, there[path])) for path, text in contents.items()]
    except OSError as error:
        where = error.filename or folder
        raise SetupError(f"{where} cannot be written: {error.strerror or error}.") from error


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _write(path: Path, text: str, there: Any) -> bool:
    content = text.encode()
    if content == there:
        return False
    path.write_bytes(content)
    return True
