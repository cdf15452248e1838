# ruff: noqa: INP001 - a script by itself, of no package
"""A door on loopback to the simulators, which run in a container of their own.

Plain http to another machine is refused where a key is set, so the workers speak to their own
127.0.0.1, and each connection is passed on.
"""

import asyncio

PORT = 8090
HOST = "sandbox"


async def main() -> None:
    """Listen until the container ends."""
    server = await asyncio.start_server(_pass_on, "127.0.0.1", PORT)
    await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        far_reader, far_writer = await asyncio.open_connection(HOST, PORT)
    except OSError:  # as if nothing listened here
        writer.transport.abort()
        return
    await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # either side has gone; the other is told by closing
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main())
