"""Real balancers as a user's own processes on loopback ports, each in front of a few members."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import ports
from .process import Process
from .tools import program
from .wait import eventually

Members = Mapping[str, str]
"""Names -> ADDRESS:PORT."""


@dataclass(frozen=True)
class Front:
    """A balancer that runs: where it is asked for pages, and how an inventory has it."""

    port: int
    entry: Mapping[str, Any]
    """Its options in an inventory, `on` apart."""
    process: Process
    directory: Path

    def get(self, path: str = "/", timeout: float = 10.0) -> tuple[int, str]:
        """Status and body of a page, asked for on a connection of its own."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            link.request("GET", path)
            answer = link.getresponse()
            return answer.status, answer.read().decode()
        finally:
            link.close()


HAPROXY = """\
global
  stats socket {socket} mode 600 level admin
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
  retries 0
frontend front
  bind 127.0.0.1:{port}
  default_backend app
backend app
  balance roundrobin
"""


@contextmanager
def haproxy(directory: Path, members: Members, server: str = "") -> Iterator[Front]:
    """A HAProxy whose backend `app` has these members; `server` are words behind each of them."""
    port, socket = ports.free_port(), directory / "admin.sock"
    servers = "".join(f"  server {name} {at} {server}\n" for name, at in members.items())
    config = directory / "haproxy.cfg"
    config.write_text(HAPROXY.format(socket=socket, port=port) + servers)
    entry = {"backend": "haproxy", "socket": str(socket), "pool": "app"}
    words = [program("haproxy"), "-db", "-f", str(config)]
    with _running(words, port, directory, entry) as front:
        yield front


@contextmanager
def _running(
    words: list[str], port: int, directory: Path, entry: Mapping[str, Any]
) -> Iterator[Front]:
    process = Process(words, log=directory / "balancer.log")
    try:
        eventually(lambda: ports.accepts("127.0.0.1", port), saying=process.output() or words[0])
        yield Front(port, entry, process, directory)
    finally:
        process.stop()
        ports.release(port)
