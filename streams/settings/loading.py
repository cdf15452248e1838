"""Where settings come from: a TOML file, the environment, which wins, and secret files.

All problems are collected and reported at once, by variable name.
"""

import contextlib
import difflib
import json
import os
import re
import tomllib
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from streams.core.errors import SettingsError

PREFIX = "STREAMS_"
CONFIG = "STREAMS_CONFIG"
_MEMBER_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
_FREE_NAME = re.compile(r"(?=.*\S)[^\x00-\x1f\x7f]{1,128}")
_NO_LETTER = re.compile(r"[^A-Za-z0-9]")
TEST_PREFIX = "STREAMS_TEST_"
"""Variables of the test suite, which are no settings."""


def variable(section: str, name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + _NO_LETTER.sub("_", f"{section}_{name}").upper()


def is_secret(model: type[BaseModel], name: str) -> bool:
    """Whether a setting is one that is never shown and may stand in a file of its own."""
    annotation = model.model_fields[name].annotation
    return SecretStr in (typing.get_args(annotation) or (annotation,))


def _is_table(model: type[BaseModel], name: str) -> bool:
    return typing.get_origin(model.model_fields[name].annotation) is dict


def read_secret(path: Path) -> str:
    """The text of a secret file without its last line end; raises ValueError with a sentence."""
    try:
        text = path.read_text(encoding="utf-8-sig").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text") from error
    if not text:
        raise ValueError(f"{path} is empty")
    return text


@dataclass
class Loaded:
    """Sections as valid models, the files their secrets came from, and all that is wrong."""

    sections: dict[str, BaseModel] = field(default_factory=dict)
    secret_files: dict[str, Path] = field(default_factory=dict)
    """``section.name`` → file."""
    problems: list[str] = field(default_factory=list)
    refused: set[tuple[str, str]] = field(default_factory=set)
    """Settings with a problem, by section and name; ``sections`` holds their defaults."""


class Loader:
    """Reads the sections of ``models`` from a file and an environment.

    ``families``: sections of which there may be any number, ``[family.NAME]``, named by the file;
    those ``named_freely`` by any text, in quotation marks.
    """

    def __init__(
        self,
        models: Mapping[str, type[BaseModel]],
        environ: Mapping[str, str],
        families: Mapping[str, type[BaseModel]] = types.MappingProxyType({}),
        named_freely: Collection[str] = (),
    ) -> None:
        self._models = dict(models)
        self._families = families
        self._named_freely = named_freely
        # An empty variable is an unset one.
        self._environ = {
            name: text
            for name, text in environ.items()
            if text and name.startswith(PREFIX) and not name.startswith(TEST_PREFIX)
        }
        self._origin = Path("streams.toml")
        self._result = Loaded()

    def load(self) -> Loaded:
        """Everything there is; raises SettingsError only where the file itself cannot be read."""
        from_file = self._read_file()
        from_environment = self._read_environment()
        for section, model in self._models.items():
            named, filed = from_environment[section], dict(from_file.get(section, {}))
            for name in model.model_fields:
                # The environment's secret wins as a whole, in whichever form it is given.
                if name in named or f"{name}_file" in named:
                    filed.pop(name, None)
                    filed.pop(f"{name}_file", None)
            filed = self._resolve_secrets(section, filed, in_file=True)
            named = self._resolve_secrets(section, named, in_file=False)
            origins = {name: name in filed and name not in named for name in {*filed, *named}}
            self._validate(section, filed | named, origins)
        return self._result

    def _read_file(self) -> dict[str, dict[str, Any]]:
        named = self._environ.get(CONFIG)
        self._origin = Path(named or "streams.toml")
        try:
            content = tomllib.loads(self._origin.read_text(encoding="utf-8-sig"))
        except FileNotFoundError as error:
            if not named:
                return {}
            raise SettingsError([f"{CONFIG}: there is no file {named}."]) from error
        except OSError as error:
            sentence = f"{CONFIG}: cannot read {self._origin}: {error.strerror}."
            raise SettingsError([sentence]) from error
        except ValueError as error:  # not TOML, or not UTF-8
            raise SettingsError(
                [f"{CONFIG}: {self._origin} is not valid TOML: {error}."]
            ) from error
        return self._sections_of(content)

    def _sections_of(self, content: dict[str, Any], above: str = "") -> dict[str, dict[str, Any]]:
        sections: dict[str, dict[str, Any]] = {}
        for key, value in content.items():
            section = above + key
            if section in self._families and isinstance(value, dict):
                for name in value:
                    self._add_member(section, name)
            if section in self._models:
                if isinstance(value, dict):
                    sections[section] = value
                else:
                    self._problem(f"[{section}]", f"must be a section of {self._origin}")
            elif any(name.startswith(f"{section}.") for name in self._models) and isinstance(
                value, dict
            ):
                sections |= self._sections_of(value, f"{section}.")
            else:
                guess = _did_you_mean(section, self._models)
                shown = f"[{section}]" if isinstance(value, dict) else section
                self._problem(f"{shown} in {self._origin}", f"is no section of the settings{guess}")
        return sections

    def _add_member(self, family: str, name: str) -> None:
        section = f"{family}.{name}"
        prefix = variable(section, "")
        twin = next((known for known in self._models if variable(known, "") == prefix), None)
        is_free = family in self._named_freely
        if (_FREE_NAME if is_free else _MEMBER_NAME).fullmatch(name) is None:
            chars = "1 to 128 characters that can be seen"
            words = f"must be named by {chars if is_free else '1 to 40 letters, digits, - and _'}"
            self._problem(f"[{section}] in {self._origin}", words)
        elif twin is not None:
            words = f"has the same variables {prefix}… as [{twin}]; rename one of them"
            self._problem(f"[{section}] in {self._origin}", words)
        # Also one that is named badly: what else is wrong with it is told at the same time.
        self._models[section] = self._families[family]

    def _read_environment(self) -> dict[str, dict[str, Any]]:
        values: dict[str, dict[str, Any]] = {section: {} for section in self._models}
        known = {CONFIG: ("", "")}
        for section, model in self._models.items():
            for name in model.model_fields:
                known[variable(section, name)] = (section, name)
                if is_secret(model, name):
                    known[variable(section, name) + "_FILE"] = (section, f"{name}_file")
        for name, text in self._environ.items():
            if name not in known:
                hint = _did_you_mean(name, known)
                if "_SERVICE_" in name or "_PORT_" in name or text.startswith("tcp://"):
                    hint = "; if Kubernetes set it, set enableServiceLinks: false in the pod"
                self._problem(name, f"is no setting{hint}")
            elif name != CONFIG:
                section, setting = known[name]
                values[section][setting] = text
        return values

    def _resolve_secrets(
        self, section: str, values: dict[str, Any], *, in_file: bool
    ) -> dict[str, Any]:
        model = self._models[section]
        resolved = dict(values)
        for name in model.model_fields:
            if not is_secret(model, name) or f"{name}_file" not in values:
                continue
            path = Path(str(resolved.pop(f"{name}_file")))
            shown = self._shown(section, f"{name}_file", in_file)
            if name in values:
                self._problem(shown, f"stands beside {variable(section, name)}; give one of them")
                continue
            try:
                resolved[name] = read_secret(path)
            except ValueError as error:
                self._problem(shown, str(error))
                # Other rules must not take an unreadable secret for one that was not given.
                resolved[name] = "unreadable"
                self._result.refused.add((section, name))
            self._result.secret_files[f"{section}.{name}"] = path
        return resolved

    def _validate(self, section: str, values: dict[str, Any], origins: dict[str, bool]) -> None:
        model = self._models[section]
        for name, value in list(values.items()):
            if name in model.model_fields and _is_table(model, name) and isinstance(value, str):
                try:
                    values[name] = json.loads(value)
                except ValueError:
                    self._problem(variable(section, name), "must be a JSON object")
                    self._result.refused.add((section, name))
                    del values[name]
        try:
            self._result.sections[section] = model.model_validate(values)
        except ValidationError as error:
            for one in _first_of_each(error):
                name = str(one["loc"][0]) if one["loc"] else ""
                shown = self._shown(section, name, origins.get(name, True))
                if one["type"] == "extra_forbidden":
                    self._problem(shown, "is no setting" + _did_you_mean(name, model.model_fields))
                else:
                    hidden = name in model.model_fields and is_secret(model, name)
                    self._problem(shown, _sentence(one, hidden=hidden))
                self._result.refused.add((section, name))
            # The rules between settings still apply to the rest: all problems come at once.
            good = {k: v for k, v in values.items() if (section, k) not in self._result.refused}
            with contextlib.suppress(ValidationError):
                self._result.sections[section] = model.model_validate(good)

    def _shown(self, section: str, name: str, in_file: bool) -> str:
        if not in_file:
            return variable(section, name)
        place = f"[{section}] {name}".rstrip()
        return f"{variable(section, name).rstrip('_')} ({place} in {self._origin})"

    def _problem(self, name: str, sentence: str) -> None:
        end = "?" if "did you mean" in sentence else "."
        self._result.problems.append(f"{name}: {sentence}{end}")


def _did_you_mean(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}" if close else ""


_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = types.MappingProxyType(
    {
        "missing": lambda _: "is missing",
        "int_parsing": lambda _: "must be a whole number",
        "int_type": lambda _: "must be a whole number",
        "int_from_float": lambda _: "must be a whole number",
        "float_parsing": lambda _: "must be a number",
        "float_type": lambda _: "must be a number",
        "finite_number": lambda _: "must be a finite number",
        "bool_parsing": lambda _: "must be true or false",
        "bool_type": lambda _: "must be true or false",
        "string_type": lambda _: "must be text",
        "path_type": lambda _: "must be a path",
        "tuple_type": lambda _: "must be text or a list of texts",
        "dict_type": lambda _: "must be a table of names and texts",
        "greater_than": lambda c: f"must be more than {c['gt']:g}",
        "greater_than_equal": lambda c: f"must be at least {c['ge']}",
        "less_than": lambda c: f"must be less than {c['lt']}",
        "less_than_equal": lambda c: f"must be at most {c['le']}",
        "string_too_short": lambda c: f"must have at least {c['min_length']} characters",
        "too_short": lambda c: f"must have at least {c['min_length']} characters",
        "string_too_long": lambda c: f"must have at most {c['max_length']} characters",
        "string_pattern_mismatch": lambda c: f"must match {c['pattern']}",
        "literal_error": lambda c: f"must be one of {c['expected']}".replace("'", ""),
    }
)


def _first_of_each(error: ValidationError) -> list[Mapping[str, Any]]:
    """One complaint per value: of a choice of types pydantic names each that does not fit."""
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for one in error.errors():
        found.setdefault(one["loc"][:2], one)
    return list(found.values())


def _sentence(error: Mapping[str, Any], *, hidden: bool) -> str:
    """What pydantic found, in words for a person; a secret's value is never repeated."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    words = _WORDS.get(kind)
    text = words(context) if words else error["msg"].replace("Input should be", "must be")
    if len(error["loc"]) > 1:
        text = f"{error['loc'][1]} {text}"
    if hidden or kind == "missing" or isinstance(error["input"], dict | list):
        return text
    return f'{text}, not "{error["input"]}"'


def process_environment() -> Mapping[str, str]:
    """The environment of this process: the one place that reads it."""
    return os.environ
