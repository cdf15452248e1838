"""Counts a process's requests to Kafka by kind, in a file that others read while it runs.

Imported by every Python process that has this folder on its PYTHONPATH. A count costs less than a
microsecond; where ``LIVE_COUNTS`` names no folder, nothing is counted.
"""

import os

FOLDER = os.environ.get("LIVE_COUNTS")
KINDS = 128
"""Kafka's API keys are below it."""

if FOLDER:
    import mmap
    from pathlib import Path

    from aiokafka.conn import AIOKafkaConnection

    path = Path(FOLDER) / str(os.getpid())
    path.write_bytes(bytes(8 * KINDS))
    counts = memoryview(mmap.mmap(os.open(path, os.O_RDWR), 8 * KINDS)).cast("Q")
    send = AIOKafkaConnection.send

    def send_and_count(self, request, *args, **kwargs):  # type: ignore[no-untyped-def]
        """Send a request to a broker."""
        counts[request.API_KEY] += 1
        return send(self, request, *args, **kwargs)

    AIOKafkaConnection.send = send_and_count
