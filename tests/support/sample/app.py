"""A small HTTP service that tests deploy. What it does wrong is part of the deployed code."""

import json
import os
import pathlib
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VERSION = "1"
BEHAVIOUR = "healthy"
AFTER = 0.5

HERE = pathlib.Path(__file__).resolve().parent


def release() -> str:
    """The release this process was started from."""
    try:
        return (HERE / "RELEASE").read_text().strip()
    except FileNotFoundError:
        return VERSION


def log(*words: object) -> None:
    """Write a line to standard output at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


RELEASE = release()


class Handler(BaseHTTPRequestHandler):
    """Answers GET /health, and whatever BEHAVIOUR says instead."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if BEHAVIOUR == "hang":
            time.sleep(3600)
        if BEHAVIOUR == "error-500":
            self.answer(500, {"status": "error", "release": RELEASE, "pid": os.getpid()})
        elif self.path == "/health":
            self.answer(200, {"status": "ok", "release": RELEASE, "pid": os.getpid()})
        else:
            self.answer(404, {"status": "not found"})

    def answer(self, status: int, body: "dict[str, Any]") -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: ARG002
        log("request", self.path, *args[1:2])


class Server(ThreadingHTTPServer):
    """A server that does not wait for its threads at the end, nor look up its own name."""

    daemon_threads = True

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]


def main() -> None:
    log("starting release", RELEASE, "as", os.getpid())
    if BEHAVIOUR == "ignore-sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if BEHAVIOUR == "crash-at-start":
        sys.exit("boom: release " + RELEASE + " cannot start")
    if BEHAVIOUR == "crash-later":
        threading.Timer(AFTER, os._exit, (3,)).start()
    if BEHAVIOUR == "never-bind":
        time.sleep(3600)
    address = (os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"]))
    Server(address, Handler).serve_forever()


if __name__ == "__main__":
    main()
