"""Voyado's interaction schemas from files: compared, created, and replaced on demand only.

Voyado cannot change a schema. Deleting one deletes all its interactions for all contacts, so
nothing here does that but ``replace``, for one id that a person named.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from streams.clients import VendorError, Voyado
from streams.core.errors import SettingsError, SetupError
from streams.core.times import utc_text
from streams.operations.voyado_schemas.plan import (
    Compatibility,
    PlanRow,
    State,
    compatibility,
    creation_problems,
    differences,
)
from streams.settings import Settings, variable
from streams.vendors.voyado.definition import Definition
from streams.vendors.voyado.settings import VoyadoSettings

RAW_DAYS = 7
"""So long raw events are kept unless ``streams topics create`` was told otherwise."""
CONFLICT = 409
CREATE_WAITS = (0.0, 2.0, 10.0, 30.0)
"""Seconds before each try to create what was just deleted."""
MAX_WAIT_SECONDS = 60.0


def voyado_settings(settings: Settings) -> VoyadoSettings:
    """Return Voyado's section; raises SettingsError where key or address is missing."""
    section = settings.vendors["voyado"]
    assert isinstance(section, VoyadoSettings)
    problems = [
        f"{variable('voyado', name)}: is missing; Voyado cannot be asked without it."
        for name in ("base_url", "api_key")
        if not getattr(section, name)
    ]
    if problems:
        raise SettingsError(problems)
    return section


async def create_missing(voyado: Voyado, rows: Sequence[PlanRow]) -> AsyncIterator[str]:
    """Create what the rows call missing, and yield each id as soon as it is there.

    Raises SetupError, before anything is changed, where Voyado has no room, or has an id that
    differs in case alone; VendorError as soon as one is refused: what was created before stays.
    """
    if problems := creation_problems(rows):
        raise SetupError(" ".join(problems))
    for row in rows:
        if row.state is State.MISSING:
            await voyado.create_schema(row.definition)
            yield row.id


def judge_replacement(row: PlanRow) -> Compatibility:
    """Return what replacing this schema would no longer fit.

    Raises SetupError where it must not be replaced: Voyado's answer does not show the old one, or
    the new one is not backward compatible.
    """
    assert row.there is not None
    if not row.there.is_readable:
        raise SetupError(
            f"{row.id} is not replaced: Voyado's answer does not show the schema itself, so nobody "
            "can say what would be lost."
        )
    judged = compatibility(row.there, row.definition)
    if judged.breaks:
        raise SetupError(
            f"{row.id} is not replaced: Voyado wants the new schema to be backward compatible, and "
            f"{'; '.join(judged.breaks)}. Keep what is there and only add to it, or give the new "
            "schema another id. Nothing was changed."
        )
    return judged


def explanation(row: PlanRow, judged: Compatibility, *, is_sent: bool, now_ms: int) -> list[str]:
    """Return, a line each, what replacing this schema does and what could bring back.

    ``is_sent``: the relay sends interactions of it.
    """
    lines = [
        f"Voyado cannot change a schema, only delete it and make it anew. Replacing {row.id}",
        (
            "- deletes ALL its interactions, of all contacts, whoever sent them, and with them "
            "what contact cards and segments show of them;"
        ),
        "- makes automations that are triggered by it fail until the new one is there;",
        (
            "- lets automations for new interactions run a second time for the same customers when "
            "interactions are sent again: pause them first."
        ),
        "What would be different:",
        *(f"  {difference}" for difference in row.differences),
    ]
    if judged.cautions:
        lines += ["What existing interactions would no longer fit:"]
        lines += [f"  {words}" for words in judged.cautions]
    else:
        lines += ["The new schema takes all that the old one took."]
    lines += ["To keep its interactions, stop here and export them first:", *export_lines(row.id)]
    if not is_sent:
        return [
            *lines,
            (
                "The relay sends no interactions of this schema, so it cannot bring any back: keep "
                "them where they come from before you go on."
            ),
        ]
    again = (
        f"Only what the raw topics still hold ({RAW_DAYS} days, unless they were made with another "
        "--raw-days) can be sent again, and nothing does so by itself. The command for it:"
    )
    restart = (
        "Workers of stage voyado keep the old schema in mind for up to an hour: restart them "
        "afterwards."
    )
    return [*lines, again, f"  {replay_command(now_ms)}", restart]


def export_lines(schema_id: str) -> list[str]:
    """Return the commands that keep the interactions of a schema, a line each."""
    return [
        f"  streams voyado-interactions export --schema {schema_id} --contacts FILE > saved.jsonl",
        "and, once the new schema is there:",
        "  streams voyado-interactions import saved.jsonl",
    ]


def deletion_lines(schema_id: str, *, is_sent: bool) -> list[str]:
    """Return, a line each, what deleting a schema does; ``is_sent``: the relay sends by it."""
    lines = [
        (
            f"Deleting {schema_id} deletes ALL its interactions, of all contacts, whoever sent "
            "them; automations that are triggered by it fail from then on."
        ),
        "Voyado remembers it: a new schema of this id must have all its properties.",
        "To keep its interactions, stop here and export them first:",
        *export_lines(schema_id),
    ]
    if is_sent:
        lines.append(
            "The relay sends interactions of this schema: the workers of stage voyado wait until "
            "there is one of this id again, or the settings name another."
        )
    return lines


def replay_command(now_ms: int) -> str:
    """Return what sends again all that the raw topics hold of before this moment."""
    since, until = utc_text(now_ms - RAW_DAYS * 86_400_000), utc_text(now_ms)
    return f"streams replay --vendor voyado --from {since} --to {until} --again"


async def replace(voyado: Voyado, old: Definition, new: Definition) -> None:
    """Delete a schema with all its interactions, and make it anew.

    Creating is tried several times; where Voyado refuses the new schema, the old one is put back,
    without its interactions. Raises SetupError that says how things stand then.
    """
    try:
        await _delete(voyado, new.id)
        await _create_again(voyado, new)
    except _CreateError as error:
        raise SetupError(await _put_back(voyado, old, error.cause)) from error
    except asyncio.CancelledError:
        raise SetupError(f"Stopped half-way. {_left_open(old)}") from None


class _CreateError(Exception):
    """The old schema is gone, and the new one is not there."""

    def __init__(self, cause: VendorError) -> None:
        super().__init__(str(cause))
        self.cause = cause


async def _delete(voyado: Voyado, id_: str) -> None:
    try:
        await voyado.delete_schema(id_)
    except VendorError as error:
        if not error.may_succeed_later:
            raise
        try:
            is_gone = await voyado.get_schema(id_) is None
        except VendorError:
            is_gone = False
        if not is_gone:
            raise


async def _create_again(voyado: Voyado, new: Definition) -> None:
    retry_after = 0.0
    last: VendorError | None = None
    for wait in CREATE_WAITS:
        seconds = min(max(wait, retry_after), MAX_WAIT_SECONDS)
        if seconds:
            await voyado.sleep(seconds)
        try:
            await voyado.create_schema(new)
        except VendorError as error:
            # 409: an earlier try that got no answer did it, or the deletion is still under way.
            if error.status == CONFLICT:
                there = await voyado.get_schema(new.id)
                if there is not None and not any(differences(new, there)):
                    return
            elif not error.may_succeed_later:
                raise _CreateError(error) from error
            retry_after, last = error.retry_after_seconds, error
        else:
            return
    assert last is not None
    raise _CreateError(last)


async def _put_back(voyado: Voyado, old: Definition, error: VendorError) -> str:
    if not error.may_succeed_later and error.status != CONFLICT:
        try:
            await voyado.create_schema(old)
        except VendorError as again:
            error = again
        else:
            return (
                f"{error} The schema was deleted with its interactions before that; it was put "
                "back as it had been, without them."
            )
    return f"{error} {_left_open(old)}"


def _left_open(old: Definition) -> str:
    return (
        f"The schema {old.id} was deleted with its interactions, and is not made anew: run "
        "`streams voyado-schemas apply`, with the same --dir, as soon as Voyado answers. Until "
        f"then the workers of stage voyado wait. It had been: {old.text()}"
    )
