"""`tcp`, `command`, `service` and `log`; and what every row of the table has in common."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.adapters.transports.local import LocalTransport
from backout.adapters.vault import Vault
from backout.errors import Unreachable
from backout.model import Command, Host, Identity, Options, Result, Service, State
from backout.probes import KINDS
from backout.probes.command import CommandProbe
from backout.probes.log import Log
from backout.probes.service import ServiceProbe
from backout.probes.tcp import Tcp
from backout.restarters.backend import log_of
from support.looks import Backend, Secrets, observe
from support.loopback import Raw, reset
from support.ports import free_port
from support.transports import Shell, Told


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_says_what_it_offers(kind: str) -> None:
    row = KINDS[kind]
    assert issubclass(row.Options, Options)
    assert row.names
    assert row.__doc__
    assert row.expects or not row.judges_itself


# --- tcp ---------------------------------------------------------------------------------


def silent(_: socket.socket) -> None:
    """Accepts, and says nothing."""


def greeting(link: socket.socket) -> None:
    link.sendall(b"220 ready\r\n")


def echoing(link: socket.socket) -> None:
    link.sendall(b"you said " + link.recv(100))


def test_an_open_port_is_connected() -> None:
    with Raw(silent) as server:
        seen = observe(Tcp, f"127.0.0.1:{server.port}")
    assert seen.facts == {"connected": True, "elapsed_ms": seen.elapsed_ms}
    assert seen.elapsed_ms > 0


def test_a_banner_is_heard_when_asked_for() -> None:
    with Raw(greeting) as server:
        seen = observe(Tcp, {"address": f"127.0.0.1:{server.port}", "banner": True})
    assert seen.facts["banner"] == "220 ready\r\n"


def test_what_is_sent_may_be_a_secret_and_is_answered() -> None:
    with Raw(echoing) as server:
        options = {"address": f"127.0.0.1:{server.port}", "send": "\ue000word\ue001\n"}
        seen = observe(Tcp, options, vault=Secrets(word="open sesame"))
    assert seen.facts["banner"] == "you said open sesame\n"


def test_on_a_host_the_port_alone_is_enough() -> None:
    with Raw(greeting, address="127.0.0.2") as server:
        seen = observe(Tcp, {"address": server.port}, host=Host(name="db", address="127.0.0.2"))
    assert seen.facts["connected"] is True


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (silent, "timed out after 2 s while waiting for its words"),
        (reset, "connection reset by peer"),
    ],
    ids=["silent", "reset"],
)
def test_a_banner_that_does_not_come_is_an_error(serve: Any, words: str) -> None:
    with Raw(serve) as server:
        options = {"address": f"127.0.0.1:{server.port}", "banner": True}
        seen = observe(Tcp, options, timeout=2)
    assert words in seen.error
    assert seen.facts == {}


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("no-such-host.invalid:80", "could not resolve no-such-host.invalid"),
        ("localhost", "'localhost' is not host:port"),
        ("localhost:http", "'localhost:http' is not host:port"),
        ("localhost:99999", "'localhost:99999' is not host:port"),
    ],
)
def test_an_address_that_leads_nowhere_is_an_error(address: str, words: str) -> None:
    assert observe(Tcp, address).error == words


def test_a_closed_port_is_an_error() -> None:
    port = free_port()
    seen = observe(Tcp, f"127.0.0.1:{port}")
    assert seen.error == f"connection refused by 127.0.0.1:{port}"
    assert seen.facts == {}


# --- command -----------------------------------------------------------------------------


def test_a_command_is_told_by_its_exit_code_and_output(tmp_path: Path) -> None:
    options = {"run": "pwd; echo $A >&2; exit 3", "cwd": str(tmp_path), "env": {"A": "a b"}}
    seen = observe(CommandProbe, options, transport=Shell())
    assert not seen.error
    assert seen.facts["exit_code"] == 3
    assert seen.facts["stdout"] == str(tmp_path)
    assert seen.facts["stderr"] == "a b"
    assert seen.excerpt == f"{tmp_path}\na b"


def test_a_command_only_reads_and_ends_in_time() -> None:
    told = Told(Result(State.DONE, 0))
    observe(CommandProbe, "true", transport=told, timeout=3.0)
    assert told.asked[0].key == ""
    assert told.asked[0].timeout == 3.0


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Result(State.UNKNOWN, reason="timed out after 5 s"), "timed out after 5 s"),
        (Result(State.UNKNOWN), "the end of the command was not seen"),
        (Result(State.DONE), "the end of the command was not seen"),
    ],
)
def test_an_end_that_nobody_saw_is_an_error(result: Result, words: str) -> None:
    seen = observe(CommandProbe, "true", transport=Told(result))
    assert seen.error == words
    assert seen.facts == {}


def test_a_host_that_cannot_be_reached_is_left_to_the_examiner() -> None:
    with pytest.raises(Unreachable):
        observe(CommandProbe, "true", transport=Told(Unreachable("no route")))


# --- service -----------------------------------------------------------------------------


def test_a_service_is_told_by_what_its_backend_knows() -> None:
    up = Identity(up=True, value="17@99", restarts=2, uptime=5.5, detail="running")
    facts = observe(ServiceProbe, {}, restarter=Backend(up)).facts
    assert facts["service"] == {
        "up": True,
        "identity": "17@99",
        "detail": "running",
        "restarts": 2,
        "uptime": 5.5,
    }


def test_what_the_backend_does_not_count_is_not_there() -> None:
    facts = observe(ServiceProbe, {}, restarter=Backend(Identity(up=False))).facts
    assert facts["service"] == {"up": False, "identity": "", "detail": ""}


def test_a_service_that_nobody_knows_is_an_error() -> None:
    unknown = Identity(up=False, known=False, detail="no such process")
    seen = observe(ServiceProbe, {}, restarter=Backend(unknown))
    assert seen.error == "the service is not known: no such process"
    assert seen.facts == {}


# --- log ---------------------------------------------------------------------------------


def new_lines(backend: Backend, memory: dict[str, Any], last: int = 200) -> list[str]:
    seen = observe(Log, {"last": last}, restarter=backend, memory=memory)
    assert not seen.error
    lines: list[str] = seen.facts["lines"]
    return lines


def test_the_first_look_sees_what_is_there_and_the_next_only_what_is_new() -> None:
    memory: dict[str, Any] = {}
    backend = Backend(log="one\ntwo")
    assert new_lines(backend, memory) == ["one", "two"]
    assert new_lines(backend, memory) == []
    backend.log += "\nthree"
    assert new_lines(backend, memory) == ["three"]


def test_a_log_that_was_started_anew_is_all_new() -> None:
    memory: dict[str, Any] = {}
    new_lines(Backend(log="one\ntwo\nthree"), memory)
    assert new_lines(Backend(log="one\nother"), memory) == ["one", "other"]


def test_the_same_words_again_are_new_lines() -> None:
    memory: dict[str, Any] = {}
    new_lines(Backend(log="ERROR"), memory)
    assert new_lines(Backend(log="ERROR\nERROR"), memory) == ["ERROR"]


def test_a_log_that_only_repeats_itself_is_judged_whole() -> None:
    memory: dict[str, Any] = {}
    new_lines(Backend(log="ERROR\n" * 20), memory, last=10)
    assert new_lines(Backend(log="ERROR\n" * 21), memory, last=10) == ["ERROR"] * 10


def test_lines_that_are_too_long_to_be_kept_whole_are_told(tmp_path: Path) -> None:
    """What a machine says is kept to a size, its middle left out."""
    file = tmp_path / "log"
    lines = ["x" * 40_000] * 4
    file.write_text("\n".join([*lines, "PANIC", *lines]))
    here = LocalTransport(Host(name="here", connection="local"), str(tmp_path), Vault({}))
    read = here.run(Command(f"cat {file}", timeout=10))
    kept = log_of(read, Service(name="app", backend="pm2"), 200)
    seen = observe(Log, {"last": 200}, restarter=Backend(log=kept), memory={})
    assert "PANIC" not in seen.facts["lines"]
    assert seen.unread == (
        "not all of the lines that `last` asks for can be read: they are too long; ask for fewer"
    )


def test_an_empty_log_proves_nothing() -> None:
    seen = observe(Log, {}, restarter=Backend(log=""))
    assert seen.error == "the service's log is empty"


def test_what_is_remembered_holds_no_line_of_the_log() -> None:
    memory: dict[str, Any] = {}
    new_lines(Backend(log="password hunter2"), memory)
    assert "hunter2" not in str(memory)


@given(st.integers(1, 40), st.integers(0, 40), st.integers(10, 20))
def test_no_new_line_is_missed_and_no_old_one_seen_twice(old: int, added: int, last: int) -> None:
    lines = [f"{number} said" for number in range(old + added)]
    memory: dict[str, Any] = {}
    new_lines(Backend(log="\n".join(lines[:old])), memory, last)
    seen = new_lines(Backend(log="\n".join(lines)), memory, last)
    assert seen == lines[old:][-last:]


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=3), st.integers(0, 30))
def test_a_loop_of_the_same_lines_hides_nothing(loop: list[str], added: int) -> None:
    lines = (loop * 60)[: 20 + added]
    memory: dict[str, Any] = {}
    new_lines(Backend(log="\n".join(lines[:20])), memory, last=10)
    seen = new_lines(Backend(log="\n".join(lines)), memory, last=10)
    assert len(seen) >= min(added, 10)
