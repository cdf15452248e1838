"""A chaos run from its first event to the last check of its books."""

import asyncio
import contextlib
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from streams.kafka.topics import create_topics
from streams.lab.embedded import EmbeddedKafka
from streams.lab.sandbox import Sandbox
from streams.settings import Settings, load_settings
from tests.chaos.blame import (
    back_after,
    back_everywhere,
    blame,
    last_fault,
    next_fault,
    watched,
)
from tests.chaos.books import Findings, check, waiting
from tests.chaos.disk import Disk
from tests.chaos.expected_outcomes import ExpectedOutcomes
from tests.chaos.faults import carry_out
from tests.chaos.fleet import Fleet
from tests.chaos.ledgers import Door
from tests.chaos.logs import Logs
from tests.chaos.producer import Producer
from tests.chaos.result import Result, broken_bounds
from tests.chaos.schedule import DISK_FULL, STAGES, Plan, Round
from tests.chaos.shop import INGEST_SETTINGS, ORDERS, REVOKING, VENDORS
from tests.chaos.site import Happened, Site
from tests.chaos.waiting import TooLateError, until

PARTITIONS = 6
BACK_SECONDS = 120.0
"""Work that has not gone on by then does not go on."""
DRAIN_SECONDS = 420.0
"""Voyado's own schedule has waits of up to five minutes."""
LOOK_AHEAD = 10_000
"""Events after a fault among which each partition has some."""
QUICK_AUDIT_SECONDS = 5.0
AUDIT_EVERY = 5
"""Rounds, where an audit takes longer than that; the run's own books are checked in each."""
RECENT = 10
"""Faults to which a live line may lay what it tells; the table looks at all."""
GIVE_UP_SECONDS = 60.0
"""For events that a vendor never takes; Voyado's own waits are longer, its events go on waiting."""
VOYADO_BACKLOG = 60
VOYADO_SECONDS = 90.0


async def _make_orders(servers: str) -> None:
    """Make the shop's own topic, as the shop does."""
    client = AIOKafkaAdminClient(bootstrap_servers=servers)
    await client.start()
    try:
        await client.create_topics([NewTopic(ORDERS, PARTITIONS, 1)])
    finally:
        await client.close()


class Run:
    """One run; ``go`` returns when it is over and nothing of it is left."""

    def __init__(
        self, rounds: Sequence[Round], *, rate: float, folder: Path, say: Callable[[str], None]
    ) -> None:
        self._rounds = rounds
        self._rate = rate
        self._folder = folder
        self._say = say
        self._is_enough = False
        self._audit_took = 0.0
        self._said: set[str] = set()
        self._site: Site
        self._settings: Settings
        self._outcomes: ExpectedOutcomes
        self._no: list[int] = list(REVOKING)
        self._saying: set[asyncio.Task[None]] = set()
        self.result = Result()

    def enough(self) -> None:
        """Begin no further round; the books are closed all the same."""
        self._say("no further round is begun")
        self._is_enough = True

    async def run(self) -> Result:
        """Break everything in turn; the result says whether it held."""
        began = self.result.began = time.monotonic()
        async with AsyncExitStack() as stack:
            await self._set_up(stack)
            try:
                await self._work()
                await self._drain()
            except TooLateError as error:
                self.result.broken.append(f"{error}; the run ended there")
                for worker in self._site.fleet.workers.values():
                    self._say(f"--- {worker.name}\n{worker.words()}")
            await self._close()
        self.result.seconds = time.monotonic() - began
        return self.result

    async def _set_up(self, stack: AsyncExitStack) -> None:
        disk = None
        if any(plan.kind == DISK_FULL for plans in self._rounds for plan in plans):
            disk = Disk(self._folder / "disk")
            disk.mount()
            stack.callback(disk.unmount)
        kafka = EmbeddedKafka(data_dir=None if disk is None else disk.path / "kafka")
        servers = await asyncio.to_thread(kafka.start)
        stack.push_async_callback(asyncio.to_thread, kafka.stop)
        sandbox = Sandbox()
        doors = {vendor: Door(vendor, sandbox.ledgers[vendor]) for vendor in VENDORS}
        await sandbox.start()
        stack.push_async_callback(sandbox.stop)
        environ = {
            "STREAMS_KAFKA_BOOTSTRAP_SERVERS": servers,
            "STREAMS_KAFKA_PARTITIONS": str(PARTITIONS),
            "STREAMS_CONFIG": str(self._folder / "streams.toml"),
            **dict(line.split("=", 1) for line in sandbox.example_environment()),
        }
        (self._folder / "streams.toml").write_text(INGEST_SETTINGS, encoding="utf-8")
        self._settings = load_settings(environ)
        await create_topics(self._settings)
        await _make_orders(servers)
        producer = Producer(servers, self._rate, orders=True)
        await producer.start()
        stack.push_async_callback(producer.stop)
        fleet = Fleet(environ, self._folder)
        stack.push_async_callback(fleet.stop)
        self._site = Site(
            kafka, sandbox, doors, fleet, producer, Logs(servers, PARTITIONS, ingest=True), disk
        )
        sent_at, revocations = producer.sent_at, producer.revocations
        self._outcomes = ExpectedOutcomes(sent_at, revocations, self._site.refused)
        for vendor in VENDORS:
            self._site.answer_as_usual(vendor)
        workers = [fleet.worker(stage) for stage in STAGES]
        for worker in workers:
            worker.start()
        await fleet.ready(*workers)
        fleet.watch()
        producer.begin()
        for vendor, door in doors.items():
            await until(lambda door=door: len(door.stored) >= 3, 60, f"{vendor}'s first events")  # type: ignore[misc]

    # -- a round

    async def _work(self) -> None:
        for number, plans in enumerate(self._rounds, start=1):
            if not self._is_enough:
                await self._round(number, plans)

    def _revoke(self, number: int) -> None:
        """Let the next visitor say no, once in so many rounds that all come to it."""
        if self._no and number % max(1, len(self._rounds) // len(REVOKING)) == 0:
            task = asyncio.create_task(self._site.producer.revoke(self._no.pop(0)))
            self._saying.add(task)
            task.add_done_callback(self._saying.discard)

    async def _round(self, number: int, plans: Round) -> None:
        if any(plan.target == "voyado" for plan in plans):
            await self._voyado_has_caught_up()
        self._revoke(number)
        done = await asyncio.gather(*(carry_out(self._site, number, plan) for plan in plans))
        for fault in done:
            await self._is_back(fault)
            self.result.happened.append(fault)
        self._site.producer.rate = self._rate
        await self._take_more(plans[0])
        due = self._audit_took <= QUICK_AUDIT_SECONDS or number % AUDIT_EVERY == 0
        findings, report = await self._look(with_audit=due)
        self._tell(number, done, findings, report)
        said = findings.sentences()
        self.result.broken += [f"round {number}: {line}" for line in said if line not in self._said]
        self._said.update(said)
        if report and not report["balanced"]:
            self.result.broken.append(f"round {number}: the audit does not balance: {report}")

    async def _voyado_has_caught_up(self) -> None:
        """A kill makes Voyado's open events wait 30 s; the next one must not begin that anew."""
        producer, door = self._site.producer, self._site.doors["voyado"]
        deadline = time.monotonic() + VOYADO_SECONDS

        def is_there() -> bool:
            due = self._outcomes.expected("voyado", len(producer.sent_at)) - len(door.first_at)
            return due < VOYADO_BACKLOG or time.monotonic() > deadline

        await until(is_there, VOYADO_SECONDS + 5, "Voyado to catch up")

    async def _is_back(self, fault: Happened) -> None:
        producer = self._site.producer
        first = producer.last_sent_before(fault.mended)
        back = {}
        for vendor in watched(fault):
            door = self._site.doors[vendor]

            def has_come(door: Door = door) -> bool:
                return back_after(fault, door, producer.sent_at, first) is not None

            await until(has_come, BACK_SECONDS, f"{vendor} to go on after {fault.plan.words}")
            seconds = back_after(fault, door, producer.sent_at, first)
            assert seconds is not None
            back[vendor] = seconds
        self.result.back.append(back)

    async def _take_more(self, plan: Plan) -> None:
        """Let each vendor but Voyado take some events in peace."""
        for vendor in ("eightselect", "miso"):
            door = self._site.doors[vendor]
            wanted = len(door.first_at) + plan.pause_events
            await until(
                lambda door=door, wanted=wanted: len(door.first_at) >= wanted,  # type: ignore[misc]
                BACK_SECONDS,
                f"{vendor} to take {plan.pause_events} events more",
            )

    async def _look(self, *, with_audit: bool = True) -> tuple[Findings, dict[str, Any]]:
        """Read the topics and check all books; a broker that has just come back gets some tries."""
        report: dict[str, Any] = {}
        for attempt in range(5):
            try:
                await self._site.logs.read()
                if with_audit:
                    report = await self._audit()
                break
            except KafkaError:
                if attempt == 4:
                    raise
                await asyncio.sleep(1.0)
        # In a thread of its own, since the vendors' doors must stay open meanwhile.
        found = await asyncio.to_thread(
            check, self._site.logs, self._site.doors, self._outcomes, is_final=False
        )
        return found, report

    async def _audit(self) -> dict[str, Any]:
        """Return what ``streams audit --json`` says, run as people run it."""
        began = time.monotonic()
        command = [sys.executable, "-m", "streams", "audit", "--json"]
        process = await asyncio.create_subprocess_exec(
            *command, env=self._site.fleet.environ, stdout=PIPE, stderr=PIPE
        )
        out, problem = await process.communicate()
        if not out:
            raise KafkaError(problem.decode()[-500:])
        self._audit_took = time.monotonic() - began
        reports: list[dict[str, Any]] = json.loads(out)
        return reports[0]

    def _tell(
        self, number: int, done: Sequence[Happened], findings: Findings, report: Mapping[str, Any]
    ) -> None:
        logs, doors = self._site.logs, self._site.doors
        recent = self.result.happened[-RECENT:]
        by_fault, _ = blame(recent, doors, logs)
        first = len(recent) - len(done)
        shown = []
        for fault, entry, back in zip(
            done, by_fault[first:], self.result.back[-len(done) :], strict=True
        ):
            again = ", ".join(
                f"{vendor} {len(one.repeated_requests)} of {one.allowed_requests} requests"
                f" ({one.repeated_events} events)"
                for vendor, one in entry.items()
                if one.repeated_events or one.allowed_requests
            )
            seconds = max(back.values())
            open_ = f", open {sum(fault.open.values())}" if fault.open else ""
            shown.append(f"{fault.plan.words}{open_}, back {seconds:.1f} s, repeated: {again or 0}")
        waits = " ".join(f"{vendor} {waiting(logs, vendor)}" for vendor in VENDORS)
        missing = findings.count_missing
        if report:
            missing += sum(one["missing"] for one in report["vendors"])
            waits += ", audited"
        self._say(
            f"{number:3}/{len(self._rounds)} at {time.monotonic() - self.result.began:.0f} s: "
            f"{' | '.join(shown)}; missing {missing}, "
            f"overtaken {findings.count_overtaken}, wrong {findings.count_contradicting}, "
            f"waiting: {waits}"
        )

    # -- the end

    async def _give_up_refused(self) -> None:
        """Let events that their vendor never takes be given up, while others go on."""
        logs, refused = self._site.logs, self._site.refused

        async def are_given_up() -> bool:
            await logs.read()
            done = all(number in logs.receipts[v] for v in VENDORS for number in refused[v])
            if not done:
                await asyncio.sleep(1.0)
            return done

        # Where too much else failed meanwhile they go on waiting, as they must.
        with contextlib.suppress(TooLateError):
            await until(are_given_up, GIVE_UP_SECONDS, "refused events to be given up")
        self.result.given_up = {
            vendor: sum(number in logs.vendor_letters[vendor] for number in numbers)
            for vendor, numbers in refused.items()
        }

    async def _drain(self) -> None:
        """Stop producing and wait until nothing waits any more."""
        site = self._site
        await self._give_up_refused()
        self._say(f"draining at {time.monotonic() - self.result.began:.0f} s")
        for vendor in VENDORS:
            site.answer_as_usual(vendor, take_all=True)
        if self._saying:
            await asyncio.wait(self._saying)
        await site.producer.stop()

        async def is_drained() -> bool:
            await site.logs.read()
            taken = site.producer.acknowledged
            rest = {vendor: waiting(site.logs, vendor, taken) for vendor in VENDORS}
            if any(rest.values()):
                await asyncio.sleep(1.0)
            return not any(rest.values())

        await until(is_drained, DRAIN_SECONDS, "the last events to be settled")

    async def _close(self) -> None:
        site, result = self._site, self.result
        # Of a run that ended early events still come in: what is asked for is read afterwards.
        acknowledged = set(site.producer.acknowledged)
        _, report = await self._look()
        is_drained = not any(waiting(site.logs, vendor, acknowledged) for vendor in VENDORS)
        result.findings = check(
            site.logs, site.doors, self._outcomes, acknowledged, is_final=is_drained
        )
        result.broken += result.findings.sentences()
        result.audit = report
        if not report["balanced"]:
            result.broken.append(f"the audit does not balance: {report}")
        result.by_fault, result.unexplained = blame(result.happened, site.doors, site.logs)
        result.everywhere = [self._everywhere(fault) for fault in result.happened]
        self._lay_findings()
        result.broken += broken_bounds(result)
        result.endings = list(site.fleet.endings)
        result.events = len(site.logs.partition_of)
        sent = len(site.producer.sent_at)
        result.accepted = {v: self._outcomes.expected(v, sent) for v in VENDORS}
        result.stored = {v: len(site.doors[v].stored) for v in VENDORS}
        result.producer_renewals = site.producer.renewals
        result.refused = {vendor: len(numbers) for vendor, numbers in site.refused.items()}
        result.revoked = len(site.producer.revocations)
        for ending in result.endings:
            if ending.code == 2:
                result.broken.append(f"{ending.worker} gave up for good: {ending.words[-300:]}")

    def _lay_findings(self) -> None:
        result, sent_at = self.result, self._site.producer.sent_at
        for vendor, missing in result.findings.missing.items():
            for number in missing:
                fault = next_fault(sent_at[number], vendor, result.happened)
                result.missing_by[fault] += 1
        for vendor, overtaken in result.findings.overtaken.items():
            for number, _ in overtaken:
                came = self._site.doors[vendor].first_at[number]
                result.overtaken_by[last_fault(came, vendor, result.happened)] += 1

    def _everywhere(self, fault: Happened) -> float | None:
        producer, known = self._site.producer, self._site.logs.partition_of
        first = producer.last_sent_before(fault.mended)
        sent = range(first, min(first + LOOK_AHEAD, len(producer.sent_at)))
        found = []
        for vendor in watched(fault):
            door = self._site.doors[vendor]
            found.append(back_everywhere(fault, door, known, sent, PARTITIONS))
        times = [seconds for seconds in found if seconds is not None]
        return max(times) if len(times) == len(found) else None
