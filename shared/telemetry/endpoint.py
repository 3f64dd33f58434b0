"""`/metrics`, `/healthz` and `/readyz` of one process, on a port for operators.

Answered by threads of their own, so that a process whose work is stuck can still say so.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import orjson
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Check = Callable[[], bool]

# A connection that sends nothing must not keep its thread.
_REQUEST_WITHIN_S: Final = 10.0
# How long a process that drains waits for this server.
_STOPS_WITHIN_S: Final = 0.05

_log = structlog.get_logger()


@contextmanager
def endpoint(host: str, port: int, *, alive: Check, ready: Mapping[str, Check]) -> Iterator[int]:
    """Serve for the time of the block and yield the port, which is a free one for 0.

    `alive` tells whether the process makes progress; `ready` names the servers that it needs, each with whether it can
    be reached.
    """
    server = ThreadingHTTPServer((host, port), _handler(alive, ready))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(_STOPS_WITHIN_S,), name="endpoint", daemon=True)
    thread.start()
    _log.info("endpoint_opened", host=host, port=server.server_port)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(alive: Check, ready: Mapping[str, Check]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _REQUEST_WITHIN_S

        def do_GET(self) -> None:
            match self.path:
                case "/metrics":
                    self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest())
                case "/healthz":
                    self._say({"progress": alive()})
                case "/readyz":
                    self._say({name: check() for name, check in ready.items()})
                case _:
                    self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/metrics, /healthz or /readyz\n")

        def _say(self, checks: Mapping[str, bool]) -> None:
            status = HTTPStatus.OK if all(checks.values()) else HTTPStatus.SERVICE_UNAVAILABLE
            words = {name: "ok" if fine else "failed" for name, fine in checks.items()}
            self._answer(status, "application/json", orjson.dumps(words))

        def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # named by the standard library
            """A probe every few seconds is not worth a line."""

    return Handler
