"""What is said of a server of HAProxy that others than its own check decide about."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from backout.balancers import BACKENDS
from backout.model import Balancer, Member
from backout.ports import Pool
from support import balancers, ports
from support.balancers import Front
from support.transports import Shell
from support.wait import eventually


class Agent:
    """What tells HAProxy how a server is, whenever it asks."""

    def __init__(self, word: str) -> None:
        self.word = word
        self._listens = socket.create_server(("127.0.0.1", 0))
        self.port = self._listens.getsockname()[1]
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> Agent:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listens.shutdown(socket.SHUT_RDWR)
        self._listens.close()
        self._thread.join()

    def _answer(self) -> None:
        while True:
            try:
                link, _ = self._listens.accept()
            except OSError:
                return
            with link:
                link.sendall(f"{self.word}\n".encode())


def pool(front: Front) -> Pool:
    words = {name: value for name, value in front.entry.items() if name != "backend"}
    backend = BACKENDS["haproxy"]
    options = backend.Options(**words)
    balancer = Balancer(name="edge", backend="haproxy", on=("here",), options=options)
    made: Pool = backend(balancer, Shell())
    return made


@contextmanager
def with_agent(directory: Path, word: str) -> Iterator[tuple[Agent, Front]]:
    """A server of weight 100 that has an agent, and no other check."""
    at = {"web1": f"127.0.0.1:{ports.free_port()}"}
    with Agent(word) as agent:
        looks = f"weight 100 agent-check agent-port {agent.port} agent-inter 100ms"
        with balancers.haproxy(directory, at, each={"web1": looks}) as front:
            yield agent, front


def only(edge: Pool) -> Member:
    (member,) = edge.look().members
    return member


def test_the_weight_that_an_agent_gives_is_no_change_by_hand(tmp_path: Path) -> None:
    with with_agent(tmp_path, "50%") as (agent, front):
        edge = pool(front)
        eventually(lambda: row(front)["srv_uweight"] == "50")
        before = only(edge)
        agent.word = "62%"
        eventually(lambda: row(front)["srv_uweight"] == "62")
        assert only(edge).set_as(before)
        assert before.mark == "weight 100"


def test_a_server_that_its_agent_calls_down_or_gives_nothing_is_not_counted_on(
    tmp_path: Path,
) -> None:
    with with_agent(tmp_path, "up 100%") as (agent, front):
        edge = pool(front)
        eventually(lambda: only(edge).up is True)
        for word in ("down", "up 0%"):
            agent.word = word
            eventually(lambda: not only(edge).serves)
            assert only(edge).takes, "it is set as it was"
            agent.word = "up 100%"
            eventually(lambda: only(edge).serves)
        assert edge.apply("run/1", [only(edge).out()]).ok
        assert not only(edge).takes


def test_a_server_that_stands_by_is_told_from_one_that_serves(tmp_path: Path) -> None:
    at = {name: f"127.0.0.1:{ports.free_port()}" for name in ("web1", "web2")}
    with balancers.haproxy(tmp_path, at, each={"web2": "backup"}) as front:
        assert [each.backup for each in pool(front).look().members] == [False, True]


def test_a_server_is_told_from_its_namesake_in_another_backend(tmp_path: Path) -> None:
    at = {"web1": f"127.0.0.1:{ports.free_port()}"}
    other = {"web1": f"\nbackend other\n  server web1 127.0.0.1:{ports.free_port()} disabled"}
    with balancers.haproxy(tmp_path, at, each=other) as front:
        edge = pool(front)
        web1 = only(edge)
        assert web1.takes
        assert edge.apply("run/1", [web1.out()]).ok
        namesake = pool(replace(front, entry={**front.entry, "pool": "other"}))
        assert namesake.apply("run/2", [replace(only(namesake), takes=True)]).ok
        assert [only(each).takes for each in (edge, namesake)] == [False, True]


def row(front: Front) -> dict[str, str]:
    """The server as HAProxy itself has it."""
    said = front.told("show servers state app")
    names, values = (line.lstrip("# ").split() for line in said.splitlines()[1:3])
    return dict(zip(names, values, strict=True))
