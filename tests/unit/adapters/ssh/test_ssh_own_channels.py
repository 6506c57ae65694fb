"""Commands with a channel of their own on a real SSH host, and a machine near somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from backout.adapters.transports.near import Near
from backout.adapters.transports.shell_text import plain
from backout.adapters.transports.ssh import LONG, SshTransport
from backout.adapters.transports.ssh_channels import Answer
from backout.adapters.transports.ssh_connect import Dialer
from backout.errors import Unreachable
from backout.model import Command, State
from support.ssh_links import Maker, after
from support.sshd import SshdHost
from support.wait import eventually

MARK = "mark-0123"
PADDING = f"# {'long ' * LONG}\n"
"""A text that begins so is too long for the shell that stays."""


def test_a_long_command_that_outlasts_its_time_is_ended(web1: SshTransport, host: SshdHost) -> None:
    result = web1.run(Command(f"{PADDING}sleep 1235", timeout=4))
    assert (result.state, result.reason) == (
        State.UNKNOWN,
        "timed out after 4 s; its process group was ended",
    )
    eventually(lambda: "sleep 1235" not in host.machine.processes().values())


def test_a_long_command_whose_session_is_killed_has_no_known_end(
    web1: SshTransport, host: SshdHost
) -> None:
    cutter = after(host.home / "begun", host.kill_sessions)
    result = web1.run(Command(f"{PADDING}touch begun; sleep 30", key="run/step"))
    cutter.join()
    assert result.state is State.UNKNOWN
    assert "the link to web1 was lost" in result.reason


def test_what_outlasts_its_time_on_a_host_that_is_gone_may_be_at_work_still(
    make: Maker, host: SshdHost
) -> None:
    web1 = make(connect_timeout=4)

    def go() -> None:
        host.stop()
        host.machine.run("pkill", "-STOP", "-f", "^sshd.*: root")

    cutter = after(host.home / "begun", go)
    result = web1.run(Command("touch begun; sleep 1236", timeout=12))
    cutter.join()
    assert result.state is State.UNKNOWN
    assert "its process group could not be ended: web1 cannot be reached" in result.reason


def test_a_host_whose_login_keeps_no_shell_is_open_all_the_same(
    web1: SshTransport, host: SshdHost
) -> None:
    (host.home / ".bashrc").write_text("PATH=/nowhere\n")
    assert web1.run(Command("type setsid")).exit_code == 127
    web1.open()
    assert web1.run(Command("echo hi")).stdout == "hi\n"


def test_what_is_open_is_not_opened_again(web1: SshTransport, host: SshdHost) -> None:
    web1.open()
    web1.open()
    assert host.log.count("Accepted publickey") == 1
    assert host.log.count("Starting session") == 1


def test_a_host_that_lets_us_in_and_ends_every_session_is_unreachable(
    make: Maker, host: SshdHost
) -> None:
    host.configure(MaxSessions=0)
    with pytest.raises(Unreachable, match="web1 cannot be reached"):
        make(connect_timeout=1).run(Command(f"{PADDING}touch ran"))
    assert not (host.home / "ran").exists()


def test_nothing_is_opened_for_a_glance(web1: SshTransport) -> None:
    assert web1._glance("true") is None


def test_an_answer_that_does_not_come_is_awaited_for_so_long() -> None:
    answer = Answer(0.01)
    assert answer.wait()
    assert answer.is_set(), "and Paramiko finds nothing in it"


@contextmanager
def near(web1: SshTransport) -> Iterator[Near]:
    machine = Near(web1.host, web1._dialer.ssh, MARK, Dialer(web1._dialer.ssh))
    try:
        yield machine
    finally:
        machine.close()


def test_what_somebody_farther_away_has_written_is_run_glanced_at_and_ended(
    web1: SshTransport, host: SshdHost
) -> None:
    with near(web1) as machine:
        ran = machine.carry(text("echo hi; echo why >&2"), 30.0, private=False, brief=False)
        assert (ran.out.text(), ran.err.text(), ran.exit_code) == ("hi\n", "why\n", 0)
        seen = machine.glance(text("echo seen; echo so >&2"))
        assert seen is not None
        assert (seen.out.text(), seen.err.text()) == ("seen\n", "so\n")
        left = machine.carry(
            text("setsid sleep 1237 >&- 2>&- & echo $!"), 30.0, private=True, brief=False
        )
        machine.end(int(left.out.text()))
    eventually(lambda: "sleep 1237" not in host.machine.processes().values())


def text(script: str) -> str:
    return plain(Command(script), (), MARK)
