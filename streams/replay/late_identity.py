"""Late identity: sends a visitor's events from before the contact was known.

Each look is a run of its own, without a record on ``streams.replays``: its receipts say all. Only
events whose last word is ``no_contact`` are sent, so looking twice sends nothing twice.
"""

import os
from collections.abc import Collection, Mapping

from streams.core.enrich import Send
from streams.core.outcome import Outcome, SkipReason
from streams.core.record_mapper import RowLookup
from streams.core.runs import RUNNING, Asked, new_run_id
from streams.core.times import utc_text
from streams.engine import wall_clock
from streams.engine.outputs import Outputs
from streams.kafka.reader import connect
from streams.replay.delivery_history import USUAL_SKEW_MS, read_history
from streams.replay.planner import ReplayPlanner
from streams.replay.run import new_producer
from streams.replay.run_store import has_process, list_runs
from streams.replay.vendor_run import redelivery_headers
from streams.replay.window import find_window
from streams.settings import Settings
from streams.worker.control import stopped_runs

MINUTE_MS = 60_000
ONLY = f"{Outcome.SKIPPED}:{SkipReason.NO_CONTACT}"


def late_identity_ms(settings: Settings) -> dict[str, int]:
    """Return, for each vendor that is on and waits for contacts, how far back its events go."""
    minutes = {
        vendor: getattr(settings.vendors[vendor], "late_identity_minutes", 0)
        for vendor in settings.enabled_vendors()
    }
    return {vendor: round(m * MINUTE_MS) for vendor, m in minutes.items() if m}


async def send_late(
    settings: Settings,
    vendor: str,
    window_ms: int,
    rows: RowLookup,
    partition: int,
    visitors: Mapping[bytes, int],
) -> Collection[bytes] | None:
    """Send these visitors' events of one partition that had no contact when they were read.

    ``visitors``: the Kafka time of the row by which each became known. Returns those of whom
    something from before the row is still on its way, and is to be looked at once more; None: not
    now, since a run is sending to this vendor and may be about to send the same. Raises SetupError
    or EngineError where a broker does not answer; what was written is known next time.
    """
    topics, now_ms = settings.topics, wall_clock.now_ms()
    from_ms = max(0, min(visitors.values()) - window_ms)
    asked = Asked("late_identity", from_ms, now_ms, only=(ONLY,))
    runs = await list_runs(settings)
    if any(
        vendor in run.vendors and run.state == RUNNING for run in runs if has_process(run, now_ms)
    ):
        return None
    run_id = new_run_id(utc_text(now_ms), os.urandom(4))
    stopped = await stopped_runs(settings)
    again: set[bytes] = set()
    async with connect(settings.kafka) as reader, new_producer(settings) as producer:
        window = await find_window(reader, topics, from_ms, now_ms, partitions=[partition])
        history = await read_history(
            reader,
            topics,
            [vendor],
            window,
            skew_ms=USUAL_SKEW_MS,
            passed_over=stopped,
        )
        planner = ReplayPlanner(settings, [vendor], rows, history, asked)
        outputs = Outputs(producer)
        async for tp, records in reader.read(window.starts, window.stops):
            for record in records:
                row_ms = visitors.get(record.key)
                if row_ms is None or record.timestamp < row_ms - window_ms:
                    continue
                if record.timestamp <= row_ms and history.is_waiting(vendor, tp, record.offset):
                    again.add(record.key)
                for made in planner.judge(record, now_ms).judgements:
                    if isinstance(made, Send):
                        headers = redelivery_headers(record, made, run_id)
                        to = topics.redelivery(vendor)
                        outputs.append(to, partition, record.key, made.value, headers)
        if outputs:
            await (await outputs.send()).acknowledged()
    return again
