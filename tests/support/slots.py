"""What sends traffic to one of two slots, and somebody who asks all the while."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from . import ports
from .bed import Bed

SLOTS = ("blue", "green")


class Front(Bed):
    """Forwards each connection to the slot whose name is in the file `live`."""

    def __init__(self, live: Path, address: str, targets: dict[str, int]) -> None:
        self.live, self.address, self.targets = live, address, targets
        self.port = ports.free_port([address])
        front = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                front.forward(self.request)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server((address, self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        ports.release(self.port)

    def forward(self, client: socket.socket) -> None:
        """One connection, to whoever is live when it comes."""
        slot = self.live.read_text().strip()
        with contextlib.suppress(OSError):
            to = socket.create_connection((self.address, self.targets[slot]), timeout=30)
            with to:
                back = threading.Thread(target=_copy, args=(to, client), daemon=True)
                back.start()
                _copy(client, to)
                back.join()

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}/health"

    def now(self) -> str:
        return release_at(self.address, self.port)


def release_at(address: str, port: int) -> str:
    """The release that answers on a new connection; empty where none does."""
    connection = http.client.HTTPConnection(address, port, timeout=30)
    try:
        connection.request("GET", "/health", headers={"Connection": "close"})
        answer = connection.getresponse()
        body: dict[str, Any] = json.loads(answer.read())
        return str(body["release"]) if answer.status == 200 else ""
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    finally:
        connection.close()


def _copy(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


class Asking:
    """Asks all the while: which release answered when, and how often none did. A release that has
    answered is a line in the file `told`."""

    def __init__(
        self, now: Callable[[], str], every: float = 0.01, told: Path = Path(os.devnull)
    ) -> None:
        self.now, self.every, self.told = now, every, told
        self.seen: list[tuple[float, str]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.wait(self.every):
            release = self.now()
            self.seen.append((time.time(), release))
            with self.told.open("a") as told:
                told.write(f"{release}\n")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def failed(self) -> int:
        return sum(not release for _, release in self.seen)

    @property
    def releases(self) -> list[str]:
        """In the order in which they answered."""
        found: list[str] = []
        for _, release in self.seen:
            if release and found[-1:] != [release]:
                found.append(release)
        return found
