"""A process that sends batches through one settings file."""

import asyncio
import multiprocessing
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Self

import msgspec

from streams.core.errors import SetupError, StreamsError
from streams.operations.check.mapping_preview import previewed_vendors
from streams.operations.diff.side import Payloads, Side, SideBatch, TrafficTopic
from streams.settings import load_settings

STOP_SECONDS = 5


class Begin(msgspec.Struct):
    """What a process is told first."""

    environ: dict[str, str]
    """Of the settings; ``STREAMS_CONFIG`` names the file."""
    vendors: list[str]
    """In the order of all answers."""
    on: list[str]
    """Those that the settings are to be judged for."""
    topics: list[TrafficTopic]
    user_partitions: int
    now_ms: int | None


_encode = msgspec.msgpack.Encoder().encode
_decode_begin = msgspec.msgpack.Decoder(Begin).decode
_decode_batch = msgspec.msgpack.Decoder(SideBatch).decode
_decode_answer = msgspec.msgpack.Decoder(Payloads | str).decode


def serve(pipe: Connection) -> None:
    """Answer each batch with its payloads, or with one sentence on why that fails, to the end."""
    # Ctrl-C in a terminal is for the process that asks, which then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    side: Side | None = None
    try:
        begin = _decode_begin(pipe.recv_bytes())
        settings = load_settings(begin.environ)
        plans = [plan for plan in previewed_vendors(settings).plans if plan.vendor in begin.on]
        side = Side(
            settings,
            plans,
            begin.vendors,
            begin.topics,
            user_partitions=begin.user_partitions,
            now_ms=begin.now_ms,
        )
        while True:
            batch = _decode_batch(pipe.recv_bytes())
            pipe.send_bytes(_encode(side.process(batch)))
    except StreamsError as error:
        pipe.send_bytes(_encode(str(error)))
    except (EOFError, BrokenPipeError):
        pass
    finally:
        if side is not None:
            side.close()


class SideProcess:
    """One settings file's process; batches are answered in order."""

    def __init__(self, begin: Begin) -> None:
        """Describe it; it runs within ``with``."""
        self._begin = begin
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe.send_bytes(_encode(self._begin))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._process.terminate()  # else what is queued would be waited for
        self._thread.shutdown(cancel_futures=True)
        self._pipe.close()
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def send(self, batch: bytes) -> "asyncio.Future[Payloads]":
        """Queue an encoded batch; the answer comes in its turn.

        It raises SetupError where the settings fail over the batch.
        """
        return asyncio.get_running_loop().run_in_executor(self._thread, self._ask, batch)

    def _ask(self, batch: bytes) -> Payloads:
        try:
            self._pipe.send_bytes(batch)
            answer = _decode_answer(self._pipe.recv_bytes())
        except (EOFError, OSError):
            raise SetupError(
                f"The process for {self._begin.environ['STREAMS_CONFIG']} ended before all records "
                "were read; if it was out of memory, compare a shorter time."
            ) from None
        if isinstance(answer, str):
            raise SetupError(answer)
        assert isinstance(answer, Payloads)
        return answer


def encode_batch(batch: SideBatch) -> bytes:
    """Return a batch as ``SideProcess.send`` takes it."""
    return _encode(batch)


def begin_of(
    environ: Mapping[str, str],
    vendors: Sequence[str],
    on: Sequence[str],
    topics: Sequence[TrafficTopic],
    *,
    user_partitions: int,
    now_ms: int | None,
) -> Begin:
    """Return what a process is told first; only settings of the environment are handed on."""
    of_settings = {name: text for name, text in environ.items() if name.startswith("STREAMS_")}
    return Begin(of_settings, [*vendors], [*on], [*topics], user_partitions, now_ms)
