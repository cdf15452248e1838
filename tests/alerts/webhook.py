"""A webhook on loopback with memory, which can refuse or hang."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

SECRET = "hookT0kenOfOurs"
"""A part of the address."""


class Webhook:
    """Keeps what was posted to it; ``answers`` are the statuses of the next requests, then 200."""

    def __init__(self, *answers: int) -> None:
        self.received: list[dict[str, Any]] = []
        self.tries = 0
        self.go_on = threading.Event()
        """Cleared: requests get no answer until it is set."""
        self.go_on.set()
        left = list(answers)
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.tries += 1
                hook.go_on.wait(60)
                status = left.pop(0) if left else 200
                if status == 200:
                    hook.received.append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing to stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"json://127.0.0.1:{self._server.server_port}/{SECRET}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()
