"""The board in a browser of this machine: one page that asks for the state again and again, and nothing else.

The server listens on the loopback address only, answers GET alone and no other host name, so that no page of a stranger reads it
through a name of its own (DNS rebinding). It is of the standard library: four fixed paths need no framework.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ...core.errors import ConfigError, QuantDGError
from .board import Board, duration
from .reader import BoardReader

ADDRESS = "127.0.0.1"
NAMES = (ADDRESS, "localhost")
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/board.css": ("board.css", "text/css; charset=utf-8"),
    "/board.js": ("board.js", "text/javascript; charset=utf-8"),
}
FOLDER = Path(__file__).parent / "browser"
FRESH_SECONDS = 1.0
"""A board is not made anew for another page within this time."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def as_json(board: Board) -> str:
    """Return what the page reads: the fields of a board, and its sentences."""
    said = {"share": board.share, "counts": board.counts(), "speed": board.speed()}
    node: dict[str, Any] = {**asdict(board), **said}
    for cell in node["latest"]:
        cell["ago_text"] = duration(cell["ago"])
    return json.dumps(node, allow_nan=False)


class BoardServer(ThreadingHTTPServer):
    """This serves the board of one folder to browsers of this machine.

    Args:
        reader: of the folder.
        port: 0 for one that is free; `server_port` says which.

    Raises:
        ConfigError: the port is taken or may not be used.
    """

    daemon_threads = True

    def __init__(self, reader: BoardReader, port: int = 0) -> None:
        self.reader = reader
        self._last: tuple[float, str] | None = None
        try:
            super().__init__((ADDRESS, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"--port must be one that is free, got {port} ({error}); leave it out for any") from error

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def state(self) -> str:
        """Return the board as JSON, at most `FRESH_SECONDS` old."""
        now = time.monotonic()
        if self._last is None or now - self._last[0] >= FRESH_SECONDS:
            self._last = now, as_json(self.reader.read())
        return self._last[1]


class _Handler(BaseHTTPRequestHandler):
    server: BoardServer
    server_version, sys_version, timeout = "quantdg", "", 10.0

    def do_GET(self) -> None:
        """Answer one of the fixed paths."""
        if self._host() not in NAMES:
            self._send(HTTPStatus.FORBIDDEN, json.dumps({"error": f"write {self.server.url}"}))
        elif self.path == "/board.json":
            self._state()
        elif self.path in FILES:
            name, kind = FILES[self.path]
            self._send(HTTPStatus.OK, (FOLDER / name).read_text(encoding="utf-8"), kind)
        else:
            self._send(HTTPStatus.NOT_FOUND, json.dumps({"error": "there is the board alone, at /"}))

    def _host(self) -> str:
        """The name by which it was asked, whatever the port: a tunnel has another."""
        names = self.headers.get_all("Host") or []
        return names[0].rpartition(":")[0] if len(names) == 1 and ":" in names[0] else "".join(names)

    def _state(self) -> None:
        try:
            self._send(HTTPStatus.OK, self.server.state())
        except (QuantDGError, OSError) as error:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, json.dumps({"error": f"the folder cannot be read: {error}"}))

    def _send(self, status: HTTPStatus, text: str, kind: str = "application/json") -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal shows the address."""
