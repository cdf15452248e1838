"""The command line: one module per command group. Imports are few, so that ``--help`` is fast.

A user's mistake ends with a sentence on stderr and an exit code, never with a traceback.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated

import typer

from streams.cli import (
    audit,
    check,
    control,
    dead_letters,
    diff,
    forget,
    init,
    miso,
    offsets,
    produce,
    reasons,
    replay,
    sandbox,
    status,
    topics,
    trace,
    voyado_interactions,
    voyado_schemas,
    worker,
)

app = typer.Typer(
    name="streams",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"streams {version('clickstream-relay')}")
        raise typer.Exit


@app.callback()
def _streams(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Relay a shop's events from Kafka to 8SELECT, Voyado Engage and Miso."""


# The demo is a command where its module is there.
if find_spec("streams.cli.demo") is not None:
    app.command("demo")(import_module("streams.cli.demo").demo)
app.command("worker")(worker.worker)
app.command("status")(status.status)
app.command("audit")(audit.audit)
app.command("trace")(trace.trace)
app.command("init")(init.init)
app.command("check")(check.check)
app.command("diff")(diff.diff)
app.command("pause")(control.pause)
app.command("resume")(control.resume)
app.command("forget")(forget.forget)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(topics.app, name="topics")
app.command("produce")(produce.produce)
app.add_typer(replay.app, name="replay")
app.add_typer(offsets.app, name="offsets")
app.command("reasons")(reasons.reasons)
app.add_typer(miso.app, name="miso")
app.add_typer(voyado_interactions.app, name="voyado-interactions")
app.add_typer(voyado_schemas.app, name="voyado-schemas")
app.command("sandbox")(sandbox.sandbox)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong use or settings."""
    from streams.core.errors import SettingsError, SetupError, StreamsError
    from streams.engine.errors import EngineError

    try:
        try:
            typer.main.get_command(app)(arguments, prog_name="streams")
        except SystemExit as ended:
            sys.stdout.flush()
            return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except SettingsError as error:
        return _failed(error.problems, 2)
    except SetupError as error:
        return _failed([str(error)], error.exit_code)
    except (StreamsError, EngineError) as error:
        return _failed([str(error)], 1)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; nothing may be written to it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _failed(sentences: Sequence[str], exit_code: int) -> int:
    for sentence in sentences:
        # Values of settings and names of topics are shown, never obeyed by the terminal.
        shown = "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in sentence)
        print(shown, file=sys.stderr)
    return exit_code
