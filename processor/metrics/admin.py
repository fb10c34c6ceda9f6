"""The admin port: `/livez`, `/readyz`, `/metrics`, in threads of their own.

So it answers before anything is recovered, and while the event loop is busy or stuck. It has nothing
that changes anything. A port that cannot be had never stops a worker: it takes a free one instead,
and says so.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from processor.metrics.health import Answer, Health

log = logging.getLogger(__name__)

#: A client that says nothing for so long is let go.
_CLIENT_SECONDS: Final = 10.0
_HELP: Final = b"/livez\n/readyz\n/metrics\n"

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is named there
        """Log no request: they come every few seconds for ever."""


class _Server(ThreadingWSGIServer):
    def server_bind(self) -> None:
        """Bind, without looking up the host's name, which may take as long as a resolver takes."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log no traceback of a client that has gone."""
        log.debug("A client of the admin port has gone")


class _IPv6Server(_Server):
    address_family = socket.AF_INET6


class Admin:
    """The server, and the thread that takes its connections."""

    def __init__(self, registry: CollectorRegistry, health: Health) -> None:
        self._metrics = make_wsgi_app(registry)
        self._health = health
        self._server: WSGIServer | None = None

    def start(self, host: str, port: int) -> tuple[str, int] | None:
        """Listen; port 0, or one that is taken: a free one. Gives where, None where that fails."""
        self._server = _listen(host, port, self)
        if self._server is None:
            return None
        threading.Thread(target=self._server.serve_forever, name="admin", daemon=True).start()
        found = self._server.server_address
        at, taken = str(found[0]), int(found[1])
        log.info(
            "Health and metrics at http://%s:%d/",
            f"[{at}]" if ":" in at else at,
            taken,
            extra={"host": at, "port": taken},
        )
        return at, taken

    def stop(self) -> None:
        """Listen no longer."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            answer: Iterable[bytes] = self._metrics(environ, start_response)
            return answer
        if path == "/livez":
            return _answer(self._health.live(), start_response)
        if path == "/readyz":
            return _answer(self._health.ready(), start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [_HELP]


def _answer(answer: Answer, start_response: StartResponse) -> Iterable[bytes]:
    status = "200 OK" if answer.yes else "503 Service Unavailable"
    start_response(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
    return [json.dumps({"ok": answer.yes, "reasons": answer.reasons}).encode() + b"\n"]


def _listen(host: str, port: int, app: Any) -> WSGIServer | None:
    server = _IPv6Server if ":" in host else _Server
    try:
        return make_server(host, port, app, server, _Handler)
    except OSError as error:
        if port == 0:
            log.warning("No admin port: %s cannot be listened on (%s).", host, error)
            return None
        log.warning(
            "The admin port %d of %s cannot be had (%s); a free one is taken. Give each worker of a "
            "host a port of its own, or 0 for any.",
            *(port, host, error),
        )
        return _listen(host, 0, app)
