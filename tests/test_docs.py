"""The documents say what is there: settings, topics, reasons, commands, pages, links, examples."""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
import typer

from streams.cli import app
from streams.core.kinds import KINDS
from streams.core.snapshot import VendorState
from streams.core.topics import Topics
from streams.settings import EventSettings, IngestSettings, load_settings, section_models, variable
from streams.vendors import VENDORS

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DOCS = [*sorted((ROOT / "docs").glob("**/*.md")), ROOT / "examples" / "README.md"]
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]
VENDOR_PAGES = sorted((ROOT / "streams").glob("**/README.md"))
FOR_PEOPLE = [
    *PAGES,
    *VENDOR_PAGES,
    *(ROOT / name for name in ("NOTICE", "Makefile", "constraints.txt", "pyproject.toml")),
    *(ROOT / name for name in ("streams.example.toml", ".env.example", ".ci/run")),
]
ALL_WORDS = "\n".join(page.read_text("utf-8") for page in PAGES)
EXAMPLE = (ROOT / "streams.example.toml").read_text("utf-8")

COMMAND_LINE = typer.main.get_command(app)


def names(pages: list[Path]) -> list[str]:
    """The paths of pages as test ids."""
    return [str(page.relative_to(ROOT)) for page in pages]


def fenced(text: str, language: str) -> Iterator[str]:
    """The fenced blocks of one language."""
    yield from re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands_typed(text: str) -> Iterator[list[str]]:
    """The command lines after a ``$`` in console blocks, as words."""
    for block in fenced(text, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                words = shlex.split(line.removeprefix("$ "))
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words.pop(0)
                yield [Path(words[0]).name, *words[1:]]


def commands_named(text: str) -> Iterator[list[str]]:
    """The ``streams …`` and ``make …`` in inline code, as words."""
    for code in re.findall(r"`((?:streams|make) [^`\n]+)`", text):
        yield shlex.split(code)


def problem_of(words: list[str]) -> str | None:
    """Say why a ``streams`` command line would not be understood; None: it would."""
    command: Any = COMMAND_LINE
    is_value = False
    for word in words[1:]:
        subcommands = getattr(command, "commands", None)
        if is_value:
            is_value = False
        elif subcommands is not None:
            taken = {o: not p.is_flag for p in command.params for o in p.opts}
            is_value = taken.get(word, False)
            if word not in subcommands and not word.startswith("-"):
                return f"no command {word}"
            command = subcommands.get(word, command)
        elif word.startswith("--"):
            options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
            if word.partition("=")[0] not in {*options, "--help"}:
                return f"{command.name} has no option {word}"
    return None


def all_commands(command: Any = COMMAND_LINE, above: str = "streams") -> Iterator[str]:
    """Every command, groups left out, as people type it."""
    for name, sub in command.commands.items():
        if hasattr(sub, "commands"):
            yield from all_commands(sub, f"{above} {name}")
        else:
            yield f"{above} {name}"


@pytest.mark.parametrize("section", section_models())
def test_every_setting_stands_in_the_example_file(section: str) -> None:
    """Under its section, commented out or not, with a comment before it."""
    _, _, after = EXAMPLE.partition(f"\n[{section}]\n")
    lines = after.partition("\n[")[0].splitlines()
    for name in section_models()[section].model_fields:
        if name == "fields":
            assert f"[{section}.fields]" in EXAMPLE
            continue
        at = [i for i, line in enumerate(lines) if re.match(rf"(# )?{name} = ", line)]
        assert len(at) == 1, f"[{section}] {name}"
        assert re.match(r"# \w", lines[at[0] - 1]), f"[{section}] {name} is not explained"


def test_every_variable_in_the_documents_is_a_setting() -> None:
    """Nobody is told to set what is refused."""
    sections = section_models() | {"ingest.NAME": IngestSettings, "events.NAME": EventSettings}
    known = {
        variable(section, name) + suffix
        for section, model in sections.items()
        for name in model.model_fields
        for suffix in ("", "_FILE")
    }
    named = set(re.findall(r"STREAMS_[A-Z_]+", ALL_WORDS))
    assert named - known == {"STREAMS_CONFIG", "STREAMS_TEST_BROKER"}


def test_every_dotted_setting_in_the_documents_is_one() -> None:
    """``miso.linger_seconds`` in inline code is the setting of that name."""
    for section, model in section_models().items():
        for name in re.findall(rf"`{re.escape(section)}\.([a-z_]+)`", ALL_WORDS):
            assert name in model.model_fields, f"{section}.{name}"


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_example_settings_are_valid(page: Path, tmp_path: Path) -> None:
    """Every TOML block loads without a problem, once the secrets it names are there."""
    for number, block in enumerate(fenced(page.read_text("utf-8"), "toml")):
        secret = tmp_path / "secret"
        secret.write_text("a-secret")
        file = tmp_path / f"{number}.toml"
        file.write_text(re.sub(r'(?m)^(\w+_file) = "[^"]*"', rf'\1 = "{secret}"', block))
        assert tomllib.loads(block)
        load_settings({"STREAMS_CONFIG": str(file)})


def test_every_topic_in_the_documents_exists() -> None:
    """No topic is named that ``streams topics create`` does not make."""
    topics = Topics(sources=tuple(KINDS), fed=("visitors",))
    made = {spec.name for spec in topics.specs((*VENDORS, "<v>"), 6)}
    named = re.findall(r"(?<![\w-])(?:shop|enrich|vendor)\.[a-z<>.-]+[a-z]", ALL_WORDS)
    assert {name for name in named if "-" in name or name.startswith(("shop.", "vendor."))} <= made


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_command_in_the_documents_is_understood(page: Path) -> None:
    """Commands, subcommands and options exist, and so do the targets of make."""
    text = page.read_text("utf-8")
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8")))
    for words in (*commands_typed(text), *commands_named(text)):
        if Path(words[0]).name == "streams":
            assert problem_of(words) is None, words
        elif words[0] == "make":
            assert words[1] in targets, words
        else:
            known = ("pip", "python", "python3", "docker", "kubectl", "systemctl", "install", "cp")
            kafka = ("kafka-configs.sh", "kafka-consumer-groups.sh", "kafka-get-offsets.sh")
            assert words[0] in (*known, *kafka), words


def test_every_command_in_a_message_is_one() -> None:
    """No sentence of the program sends people to a command that is not there."""
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "streams").glob("**/*.py"))
    named = set(re.findall(r"`streams ([a-z-]+)", code))
    assert named - {command.split()[1] for command in all_commands()} == set()


REGISTERED = """
class Pages:
    def page(self, path):
        print(path)
        return lambda view: view

from types import SimpleNamespace
from streams.settings import load_settings
from streams.web import health
from streams.web.build import build_site

health.register(Pages(), reporter=None, findings=list)
worker = SimpleNamespace(snapshot=None)
watch = SimpleNamespace(findings=list, labels=list, note_expired=lambda lately: None)
site = build_site(load_settings({}), worker, watch, wall_ms=int, clock=float)
print(*(page.path for page in site.all_pages() if not page.path.startswith("/assets/")))
"""


def test_every_page_of_the_web_view_has_an_entry() -> None:
    """In the reference; asked in a process of its own, since the engine changes aiokafka."""
    command = [sys.executable, "-c", REGISTERED]
    paths = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    reference = (ROOT / "docs" / "reference.md").read_text("utf-8")
    shown = re.findall(r"(?m)^\| `(/[^`]*)` \|", reference)
    assert sorted(shown) == sorted(set(paths))


def test_every_state_of_a_vendor_has_an_entry() -> None:
    """In the runbook's table."""
    runbook = (ROOT / "docs" / "operations.md").read_text("utf-8")
    for state in get_args(VendorState):
        assert re.search(rf"^\| `{state}`", runbook, re.MULTILINE), state


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


class Link(NamedTuple):
    """A link as it stands in a page."""

    words: str
    target: str


def links(page: Path) -> list[Link]:
    """The links of a page that lead to no other site."""
    found = re.findall(r"\[([^\]]+)\]\(([^)\s]+)\)", page.read_text("utf-8"))
    return [Link(*one) for one in found if "://" not in one[1]]


@pytest.mark.parametrize("page", PAGES + VENDOR_PAGES, ids=names(PAGES + VENDOR_PAGES))
def test_relative_links_resolve(page: Path) -> None:
    """To files that are there, and to headings in them."""
    for link in links(page):
        path, _, anchor = link.target.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), link


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_names_of_code_in_the_documents_are_in_that_code(page: Path) -> None:
    """A link with a name in code to a module leads to a module that defines this name."""
    for link in links(page):
        if link.target.endswith(".py") and link.words.startswith("`"):
            code = (page.parent / link.target).resolve().read_text("utf-8")
            for name in link.words.strip("`").split("."):
                defined = rf"(?m)^\s*(?:(?:async )?def |class )?{name}\b"
                assert re.search(defined, code), link


def test_every_path_in_contributing_is_there() -> None:
    """Files and folders, as far as they are not the newcomer's."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"`((?:streams|tests|deploy|docs)/[\w./-]*\w)(?:/<\w+>)?(?:/[\w.]+)?`", text)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_quoted_code_stands_in_the_file_that_is_linked_before_it() -> None:
    """Word for word, in the page on adding a vendor."""
    page = ROOT / "docs" / "adding-a-vendor.md"
    parts = re.split(r"(?m)^```python\n(.*?)^```$", page.read_text("utf-8"), flags=re.DOTALL)
    file = page
    quoted = []
    for number, part in enumerate(parts):
        if number % 2:
            assert part in file.read_text("utf-8"), f"{file}:\n{part}"
            quoted.append(file.name)
            continue
        for target in re.findall(r"\]\(([^)\s]+/fourth_vendor/[^)\s]+\.py)\)", part):
            file = (page.parent / target).resolve()
    assert quoted == ["settings.py", "mapping.py", "mapping.py", "api.py", "api.py", "__init__.py"]


def test_services_and_profiles_in_the_documents_are_those_of_compose() -> None:
    """``--profile`` and ``--scale`` name what docker-compose.yml has; ``RELAY_…`` it reads."""
    compose = (ROOT / "docker-compose.yml").read_text("utf-8")
    profiles = set(re.findall(r"--profile (\w+)", ALL_WORDS)) | set(
        re.findall(r"[Pp]rofile `(\w+)`", ALL_WORDS)
    )
    assert profiles == {"sandbox", "sample", "metrics", "ingest"}
    assert all(f"profiles: [{profile}]" in compose for profile in profiles)
    for service in re.findall(r"--scale (\w+)=", ALL_WORDS):
        assert f"\n  {service}:\n" in compose
    for name in re.findall(r"RELAY_\w+", ALL_WORDS):
        assert f"${{{name}:-" in compose, name


def test_the_readme_is_read_in_one_go() -> None:
    """Fewer than 150 lines."""
    assert len(README.read_text("utf-8").splitlines()) < 150


@pytest.mark.parametrize("page", FOR_PEOPLE, ids=names(FOR_PEOPLE))
def test_nothing_of_one_machine_stands_in_the_project(page: Path) -> None:
    """No paths of a machine, no addresses of package hosts, no options that name them."""
    text = page.read_text("utf-8")
    assert re.findall(r"(?<![\w.])/(?:home|root|Users|work|opt|mnt)/\S*", text) == []
    assert re.findall(r"--(?:extra-)?index-url|--find-links|--trusted-host", text) == []
    hosts = re.findall(r"https?://([^/\s)>\"'`]+)", text)
    of_packages = re.compile(r"pypi|pythonhosted|maven|nexus|mirror")
    assert [host for host in hosts if of_packages.search(host)] == []


def test_the_layers_are_drawn_as_they_are() -> None:
    """As the import linter has them, with all that is in ``streams/``."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    drawing = page.partition("## Layers")[2].partition("```\n")[2].partition("```")[0]
    drawn = [re.findall(r"│ (\w+)(?:/|\.py) ", line) for line in drawing.splitlines()]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert [layer for layer in drawn if layer] == [layer.split(" | ") for layer in layers]
    there = {
        path.stem
        for path in (ROOT / "streams").iterdir()
        if (path / "__init__.py").exists() or path.suffix == ".py"
    }
    assert there - {"__init__", "__main__"} == {name for layer in drawn for name in layer}


def test_every_release_says_first_what_it_asks_of_operators() -> None:
    """Also that it asks for nothing; an operator reads no further before an upgrade."""
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    releases = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]
    assert releases
    for release in releases:
        sections = re.findall(r"^### (.+)$", release, re.MULTILINE)
        assert sections[0] == "Asked of operators", release.partition("\n")[0]
