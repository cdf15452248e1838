"""Looking at a pipeline from outside: snapshots, the brokers' figures, operators' commands."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import get_args

from pydantic import SecretStr

from streams.core.control import VendorControl
from streams.engine import wall_clock
from streams.kafka.groups import GroupState, read_groups
from streams.kafka.reader import connect
from streams.settings import STAGE_NAMES, Settings, variable
from streams.status.known import Known, StageState
from streams.status.new_letters import NewLetters
from streams.status.status import StatusBoard, read_status
from streams.vendors import VENDORS
from streams.worker.control import read_controls


async def observe(
    settings: Settings, letters: NewLetters | None = None
) -> tuple[StatusBoard, Known, Mapping[str, VendorControl]]:
    """Return the snapshots, what is known, and operators' commands by vendor.

    ``letters``: of whoever looks again and again; dead letters are then not read at each look.
    Raises SetupError where the brokers do not answer or topics are missing.
    """
    board = await read_status(settings)
    async with connect(settings.kafka) as reader:
        groups = await read_groups(reader, settings)
        controls = await read_controls(reader, settings)
    known = known_of(settings, board, groups, controls)
    return board, await with_open_letters(settings, known, letters), controls


async def with_open_letters(
    settings: Settings, known: Known, letters: NewLetters | None = None
) -> Known:
    """Return the same and which of the new dead letters are open, where that can be read."""
    letters = letters or NewLetters(settings, time.monotonic)
    await letters.refresh(known)
    return replace(known, open_letters=letters.open)


def known_of(
    settings: Settings,
    board: StatusBoard,
    groups: Iterable[GroupState],
    controls: Mapping[str, VendorControl],
) -> Known:
    """Return what these say together, as of now."""
    now_ms = wall_clock.now_ms()
    return Known(
        now_ms,
        stages_of(settings, groups, controls),
        board.workers(now_ms),
        unreadable=board.unreadable,
    )


def stages_of(
    settings: Settings, groups: Iterable[GroupState], controls: Mapping[str, VendorControl]
) -> list[StageState]:
    """Return the configured stages with what the brokers say of them, where they have said it."""
    by_stage = {group.stage: group for group in groups}
    return [
        StageState(
            stage,
            STAGE_NAMES.get(stage) or VENDORS[stage].name,
            by_stage[stage].waiting if stage in by_stage else None,
            by_stage[stage].has_committed if stage in by_stage else True,
            control.paused,
            control.is_unreadable,
            "" if stage in STAGE_NAMES else key_place(settings, stage),
        )
        for stage in settings.stages()
        for control in (controls.get(stage, VendorControl()),)
    ]


def key_place(settings: Settings, vendor: str) -> str:
    """Return where the vendor's key is set, as the end of a sentence."""
    fields = type(settings.vendors[vendor]).model_fields
    for name in VENDORS[vendor].credentials:
        file = settings.secret_files.get(f"{vendor}.{name}")
        if file is not None:
            return f"`{file}`: the next probe reads it, within 10 s"
        if name in fields and SecretStr in (
            fields[name].annotation,
            *get_args(fields[name].annotation),
        ):
            return f"`{variable(vendor, name)}` and restart its workers"
    return ""
