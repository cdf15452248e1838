# ruff: noqa: INP001 - a script by itself, of no package
"""Exit code 0 if every worker in this container is ready, else 1 with the reasons.

A worker's port depends on its slot, and every slot has its own ten: whatever listens on one of
them here is asked. Imports little, for it runs every few seconds.
"""

import http.client
import json
import os
import sys

PORTS = 100
SECONDS = 3.0


def reasons(port: int) -> list[str] | None:
    """Return why the worker on this port is not ready, or None: nothing listens there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.connect()
    except ConnectionRefusedError:
        return None
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        body = answer.read()
        return [] if answer.status == 200 else list(json.loads(body)["reasons"])
    finally:
        connection.close()


def main() -> int:
    """Ask every worker there is."""
    first = int(os.environ.get("STREAMS_WEB_PORT") or 6066)
    found = {port: reasons(port) for port in range(first, first + PORTS)}
    workers = {port: why for port, why in found.items() if why is not None}
    if not workers:
        print("no worker listens yet")
    for port, why in workers.items():
        print(f"{port}: {'; '.join(why) or 'ready'}")
    return 0 if workers and not any(workers.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
