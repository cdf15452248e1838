"""Ports of 127.0.0.1 for a broker that is to come back on the same one."""

import random
import socket

from streams.core.errors import SetupError

# Below the range from which systems take the ports of outgoing connections: a client that
# reconnects while the broker is away cannot take the broker's own port.
PORTS = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(without: int = 0) -> int:
    """A port of 127.0.0.1 that nobody listens on and no outgoing connection will be given.

    Raises:
        SetupError: none was found.
    """
    for port in random.sample(PORTS, 200):
        if port != without and is_free(port):
            return port
    raise SetupError(f"No free port between {PORTS.start} and {PORTS.stop} on 127.0.0.1.")
