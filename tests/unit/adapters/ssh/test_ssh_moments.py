"""A link that breaks at one moment between two requests, on a real SSH host: nothing is run twice,
nothing torn is run, and who comes next has a link again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import paramiko
import pytest

from backout.adapters.transports import ssh, ssh_shell
from backout.adapters.transports.ssh import LONG, SshTransport
from backout.errors import Unreachable
from backout.model import Command, State
from support.ssh_links import Maker
from support.sshd import SshdHost

PADDING = f"# {'long ' * LONG}\n"
"""A text that begins so is too long for the shell that stays."""
Break = Callable[..., None]


@pytest.fixture
def breaking() -> Iterator[Break]:
    """Has that function find the link broken, once or all the time."""
    with pytest.MonkeyPatch.context() as patch:

        def breaks(owner: Any, name: str, *, always: bool = False) -> None:
            whole = getattr(owner, name)

            def broken(*_: Any, **__: Any) -> Any:
                if not always:
                    patch.setattr(owner, name, whole)
                raise EOFError

            patch.setattr(owner, name, broken)

        yield breaks


def test_a_shell_that_breaks_while_its_answer_is_awaited_is_found_out_by_who_needs_it(
    web1: SshTransport, breaking: Break
) -> None:
    breaking(ssh_shell.PersistentShell, "greet")
    web1.open()
    assert web1.run(Command("echo hi")).stdout == "hi\n"


def test_a_command_that_the_shell_was_not_told_has_a_channel_of_its_own_and_runs_once(
    web1: SshTransport, host: SshdHost, breaking: Break
) -> None:
    web1.open()
    breaking(ssh_shell.PersistentShell, "run")
    assert web1.run(Command("echo x >>log", key="run/step")).ok
    assert (host.home / "log").read_text() == "x\n"


def test_of_a_text_that_is_torn_nothing_runs(
    web1: SshTransport, host: SshdHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(text: bytes) -> Iterator[bytes]:
        yield text[: text.index(b"touch ran") + len(b"touch ran\n")]
        raise EOFError

    with monkeypatch.context() as patch:
        patch.setattr(ssh, "pieces", torn)
        with pytest.raises(Unreachable, match="web1 cannot be reached"):
            web1.run(Command(f"{PADDING}touch ran\ntrue"))
    assert web1.run(Command("ls")).ok
    assert not (host.home / "ran").exists()


def test_a_command_whose_output_stops_to_come_has_no_known_end(
    web1: SshTransport, breaking: Break
) -> None:
    breaking(ssh, "gather")
    result = web1.run(Command(f"{PADDING}echo hi", key="run/step"))
    assert result.state is State.UNKNOWN
    assert "the link to web1 was lost" in result.reason


def test_where_no_channel_is_to_be_had_one_other_link_is_tried(
    web1: SshTransport, host: SshdHost, breaking: Break
) -> None:
    breaking(paramiko.Transport, "open_session", always=True)
    with pytest.raises(Unreachable, match="web1 cannot be reached"):
        web1.run(Command("true"))
    assert host.log.count("Accepted publickey") == 2


def test_a_command_whose_time_is_up_before_its_shell_answers_is_told_so(
    make: Maker, host: SshdHost
) -> None:
    web1 = make(connect_timeout=20)
    web1.open()
    sessions = [pid for pid, args in host.machine.processes().items() if ": root" in args]
    host.machine.run("kill", "-STOP", *map(str, sessions))
    result = web1.run(Command("echo hi", timeout=1))
    assert result.state is State.UNKNOWN
    assert result.reason == "timed out after 1 s; its shell had not answered yet"
