"""Real balancers on loopback ports, each in front of a few members: on this machine, or inside
another one, where whoever logs in there sees its processes."""

from __future__ import annotations

import csv
import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import ports
from .machine import Machine
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

    def errors(self) -> int:
        """How many requests it has answered with a 5xx so far, by its own count."""
        log = self.directory / "access.log"
        lines = log.read_text().splitlines() if log.exists() else []
        match self.entry["backend"]:
            case "haproxy":
                return self._hrsp_5xx()
            case "nginx":
                return sum(line.startswith("5") for line in lines)
            case _:
                return sum(json.loads(line).get("status", 0) >= 500 for line in lines)

    def _hrsp_5xx(self) -> int:
        said = self.told("show stat front 1 -1")
        return sum(int(row["hrsp_5xx"] or 0) for row in csv.DictReader(said[2:].splitlines()))

    def told(self, command: str) -> str:
        """What HAProxy says to a command of somebody at its socket."""
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(self.entry["socket"])
            link.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: link.recv(65536), b"")).decode()

    def get(self, path: str = "/", timeout: float = 60.0) -> tuple[int, str]:
        """Status and body of a page, asked for on a connection of its own."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            link.request("GET", path)
            answer = link.getresponse()
            return answer.status, answer.read().decode()
        finally:
            link.close()


HAPROXY_SOCKET = "/run/haproxy/admin.sock"
HAPROXY = """\
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
"""
HAPROXY_APP = """\
global
  stats socket /run/haproxy/admin.sock mode 600 level admin
backend app
  balance roundrobin
"""


@contextmanager
def haproxy(
    directory: Path,
    members: Members,
    inside: Machine | None = None,
    each: Mapping[str, str] | None = None,
    recipe: str = "",
) -> Iterator[Front]:
    """A HAProxy whose backend `app` has these members; `each` has words behind single ones."""
    port, socket = ports.free_port(), directory / "admin.sock"
    own = each or {}
    servers = "".join(f"  server {name} {at} {own.get(name, '')}\n" for name, at in members.items())
    app = _here(recipe, members) or HAPROXY_APP + servers
    config = directory / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port) + app.replace(HAPROXY_SOCKET, str(socket)))
    entry = {"backend": "haproxy", "socket": str(socket), "pool": "app"}
    words = [program("haproxy"), "-db", "-f", str(config)]
    with _running(words, port, directory, entry, inside) as front:
        yield front


NGINX = """\
daemon off;
{user}worker_processes 2;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format short '$status $upstream_addr $request_uri';
  access_log {directory}/access.log short;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  include {directory}/upstreams/*.conf;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_next_upstream off;
    }}
  }}
}}
"""


@contextmanager
def nginx(
    directory: Path, members: Members, inside: Machine | None = None, recipe: str = ""
) -> Iterator[Front]:
    """An nginx whose upstream `app` has these members."""
    port, config = ports.free_port(), directory / "nginx.conf"
    upstream = directory / "upstreams" / "app.conf"
    upstream.parent.mkdir()
    servers = "".join(f"  server {at};  # {name}\n" for name, at in members.items())
    app = f"upstream app {{\n{servers}  keepalive 16;\n}}\n"
    upstream.write_text(_here(recipe, members) or app)
    user = "user root;\n" if os.geteuid() == 0 else ""
    config.write_text(NGINX.format(directory=directory, port=port, user=user))
    words = f"{program('nginx')} -c {config} -e {directory}/error.log"
    entry = {
        **{"backend": "nginx", "file": str(upstream), "pool": "app"},
        **{"program": words, "pid": f"{directory}/nginx.pid"},
    }
    with _running(words.split(), port, directory, entry, inside) as front:
        yield front


MIGRATES = Path("/proc/sys/net/ipv4/tcp_migrate_req")


@contextmanager
def caddy(
    directory: Path, members: Members, inside: Machine | None = None, recipe: str = ""
) -> Iterator[Front]:
    """A Caddy whose `reverse_proxy` with the @id `app` has these upstreams, on a kernel that keeps
    for it what waits while it loads a configuration."""
    with suppress(OSError):  # before Linux 5.14 there is no such thing
        MIGRATES.write_text("1")
    port, admin = ports.free_port(), ports.free_port()
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        **(json.loads(_here(recipe, members)) if recipe else _routes(members)),
        "logs": {},
    }
    log = {"writer": {"output": "file", "filename": f"{directory}/access.log"}}
    config = {
        "admin": {"listen": f"127.0.0.1:{admin}", "config": {"persist": False}},
        "logging": {"logs": {"access": {**log, "include": ["http.log.access"]}}},
        "apps": {"http": {"servers": {"site": server}}},
    }
    file = directory / "caddy.json"
    file.write_text(json.dumps(config))
    address = f"http://127.0.0.1:{admin}"
    entry = {"backend": "caddy", "admin": address, "pool": "app", "parked": "app-out"}
    words = [program("caddy"), "run", "--config", str(file)]
    with _running(words, port, directory, entry, inside) as front:
        yield front
    ports.release(admin)


def _routes(members: Members) -> dict[str, Any]:
    upstreams = [{"dial": at} for at in members.values()]
    turns = {"load_balancing": {"selection_policy": {"policy": "round_robin"}}}
    proxy = {"@id": "app", "handler": "reverse_proxy", "upstreams": upstreams, **turns}
    parked = {"@id": "app-out", "handler": "reverse_proxy", "upstreams": []}
    nowhere = {"match": [{"host": ["out.invalid"]}], "handle": [parked]}
    return {"routes": [nowhere, {"handle": [proxy]}]}


@contextmanager
def command(directory: Path, members: Members, inside: Machine | None = None) -> Iterator[Front]:
    """A balancer that only its own program knows: `list`, `disable`, `enable`."""
    with haproxy(directory, members, inside) as front:
        ctl = directory / "balancer"
        ctl.write_text(CTL.format(socket=front.entry["socket"]))
        ctl.chmod(0o755)
        told = {"out": f'{ctl} disable "$MEMBER"', "in": f'{ctl} enable "$MEMBER"'}
        yield replace(front, entry={"backend": "command", "read": f"{ctl} list", **told})


CTL = """\
#!/usr/bin/python3
import csv, socket, sys

def ask(text):
    link = socket.socket(socket.AF_UNIX)
    link.connect("{socket}")
    link.sendall(text.encode() + b"\\n")
    return b"".join(iter(lambda: link.recv(65536), b"")).decode()

word, *names = sys.argv[1:]
if word == "list":
    for row in csv.DictReader(ask("show stat app 4 -1")[2:].strip().splitlines()):
        state = "out" if row["status"].startswith(("DRAIN", "MAINT")) else "in"
        print(row["svname"], state, row["scur"])
else:
    for name in names:
        print(ask(f"set server app/{{name}} state {{'drain' if word == 'disable' else 'ready'}}"))
"""


def _here(recipe: str, members: Members) -> str:
    """A part of a configuration as a document has it, with its hosts where they are here."""
    for number, at in enumerate(members.values(), 11):
        recipe = recipe.replace(f"203.0.113.{number}:8080", at)
    return recipe


@contextmanager
def _running(
    words: list[str], port: int, directory: Path, entry: Mapping[str, Any], inside: Machine | None
) -> Iterator[Front]:
    words = inside.command(words) if inside else words
    process = Process(words, log=directory / "balancer.log")
    socket = Path(entry.get("socket", directory))  # HAProxy puts it there when its ports are open

    def listens() -> bool:
        return ports.accepts("127.0.0.1", port) and socket.exists()

    try:
        eventually(listens, saying=process.output() or words[0])
        yield Front(port, entry, process, directory)
    finally:
        process.stop()
        ports.release(port)


FRONTS: Mapping[str, Callable[..., AbstractContextManager[Front]]] = {
    "haproxy": haproxy,
    "nginx": nginx,
    "caddy": caddy,
    "command": command,
}
