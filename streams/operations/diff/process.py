"""A process that sends batches through one settings file."""

import asyncio
import multiprocessing
import signal
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Self

import msgspec

from streams.core.errors import SetupError, StreamsError
from streams.operations.diff.side import Payloads, Side, SideBatch, SideOptions

STOP_SECONDS = 5


_encode = msgspec.msgpack.Encoder().encode
_decode_batch = msgspec.msgpack.Decoder(SideBatch).decode
_decode_answer = msgspec.msgpack.Decoder(Payloads | str).decode


def serve(pipe: Connection, options: SideOptions) -> None:
    """Answer each batch with its payloads, or with one sentence on why that fails, to the end."""
    # Ctrl-C in a terminal is for the process that asks, which then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    side: Side | None = None
    try:
        side = Side(options)
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

    def __init__(self, options: SideOptions) -> None:
        """Describe it; it runs within ``with``."""
        self._options = options
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=serve, args=(theirs, self._options), daemon=True)
        self._process.start()
        theirs.close()
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
            name = self._options.environ["STREAMS_CONFIG"]
            raise SetupError(
                f"The process for {name} ended before all records were read; if it was out of "
                "memory, compare a shorter time."
            ) from None
        if isinstance(answer, str):
            raise SetupError(answer)
        assert isinstance(answer, Payloads)
        return answer


def encode_batch(batch: SideBatch) -> bytes:
    """Return a batch as ``SideProcess.send`` takes it."""
    return _encode(batch)
