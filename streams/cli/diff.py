"""``streams diff``: what a change of settings would change for the vendors."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.terminal import (
    JsonFlag,
    echo,
    file_or_stdin,
    lines_of,
    load_settings,
    moment_ms,
    plain_console,
    print_json,
    reading_progress,
)
from streams.engine import wall_clock

if TYPE_CHECKING:
    from streams.operations.diff.diff import Compared, SettingsDifference

DEFAULT_HOURS = 24


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The current settings file.")],
    new: Annotated[
        Path, typer.Argument(metavar="NEW", help="The settings file to compare with it.")
    ],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            callback=file_or_stdin,
            help="Map these JSON lines instead of topics; - reads stdin.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="T|FILE",
            help="Map records written at T or later (2h ago, 2026-11-20 14:00, …); default: the "
            "last 24 hours. The name of a file: map its JSON lines, as with FILE.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Map the same records with two settings files and show how the vendors' payloads differ.

    Counts the payloads that are added, gone and changed, by vendor and field, with masked examples.
    Nothing is sent. Exit code 0: the payloads are equal; 1: they differ, or the command failed.

    Records are read from the topics of OLD, with the current users and products. For topics in
    [ingest.NAME] your own records are read. What a vendor's sink decides later (contacts, thinning)
    is not known. Environment variables count for both files.
    """
    from streams.core.errors import SettingsError
    from streams.operations.diff.diff import diff_lines, diff_topics

    if since is not None and Path(since).is_file():
        if file is not None:
            raise SettingsError([f"--since: {since} and {file} are two files; give one."])
        file, since = Path(since), None
    if file is not None and since is not None:
        raise SettingsError(["--since: a time and a file exclude each other."])
    sides = _load(old, new)
    now_ms = wall_clock.now_ms()
    if file is not None:
        found = asyncio.run(diff_lines(*sides, lines_of(file), now_ms))
    else:
        since_ms = now_ms - DEFAULT_HOURS * 3_600_000 if since is None else moment_ms(since)
        with reading_progress() as tell:
            found = asyncio.run(diff_topics(*sides, since_ms, tell))
    _show(found, as_json)
    if not found.is_equal:
        raise typer.Exit(1)


def _load(old: Path, new: Path) -> "tuple[Compared, Compared]":
    """Load both files; all problems of both are reported, each led by its file."""
    from streams.core.errors import SettingsError
    from streams.operations.diff.diff import Compared
    from streams.settings.loading import CONFIG, process_environment

    sides, problems = [], []
    for path in (old, new):
        environ = {**process_environment(), CONFIG: str(path)}
        try:
            sides.append(Compared(load_settings(environ), environ))
        except SettingsError as error:
            problems += [f"{path}: {problem}" for problem in error.problems]
    if problems:
        raise SettingsError(problems)
    return sides[0], sides[1]


def _show(found: "SettingsDifference", as_json: bool) -> None:
    if as_json:
        for remark in found.remarks:
            echo(remark, err=True)
        print_json([changes.to_json() for changes in found.vendors])
        return
    from streams.cli.diff_view import show_difference

    show_difference(plain_console(), found)
