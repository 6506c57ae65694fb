"""Commands on real SSH hosts: how they end, what is heard of them, and who else sees them."""

from __future__ import annotations

import itertools
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko
import pytest

from backout.adapters.transports import captured
from backout.adapters.transports.ssh import LONG, SshTransport
from backout.errors import Unreachable
from backout.model import Command, State
from support.ssh_links import HOME, SECRET, Maker
from support.sshd import SshdHost
from support.wait import eventually


def test_an_open_connection_wakes_only_to_be_kept_alive_and_has_no_configuration_of_its_own(
    make: Maker,
) -> None:
    machine = make()
    link = machine._link()
    interval = vars(link.packetizer)["_Packetizer__keepalive_interval"]
    assert link.sock.gettimeout() == interval > 0
    assert machine._connection is not None
    assert machine._connection.config is machine._dialer._fabric


@pytest.mark.parametrize(
    ("script", "code", "out"),
    [
        ("echo hi", 0, "hi\n"),
        ("false; echo hi", 1, ""),
        ("exit 3", 3, ""),
        ("if", 2, ""),
        ("}; echo escaped", 2, ""),
        ('echo "it\'s"\necho \'say "hi"\' \\\\', 0, 'it\'s\nsay "hi" \\\n'),
        ("cat; echo end", 0, "end\n"),
        ("printf '\\377\\376'", 0, "\ufffd\ufffd"),
    ],
)
def test_a_command_ends_as_its_shell_says(
    web1: SshTransport, key: str, script: str, code: int, out: str
) -> None:
    result = web1.run(Command(script, key=key))
    assert result.state is (State.FAILED if code else State.DONE)
    assert (result.exit_code, result.stdout) == (code, out)


def test_ten_megabytes_keep_their_head_and_their_tail(web1: SshTransport, key: str) -> None:
    script = "echo HEAD; head -c 10000000 /dev/zero | tr '\\0' x; echo TAIL"
    text = web1.run(Command(script, key=key)).stdout
    assert text.startswith("HEAD\nxxx")
    assert text.endswith("xxxTAIL\n")
    assert f"… {10_000_010 - 2 * captured.KEPT} bytes left out …" in text


def test_a_secret_stands_in_no_argument_on_the_host(
    web1: SshTransport, host: SshdHost, key: str
) -> None:
    env = (("TOKEN", "\ue000TOKEN\ue001"),)
    script = 'printf %s "$TOKEN"; ps -eo args >&2'
    result = web1.run(Command(script, env=env, key=key))
    assert result.stdout == SECRET
    assert "ps -eo args" in result.stderr
    assert "s3cr" not in result.stderr
    assert "s3cr" not in host.log


def test_a_login_shell_with_a_noisy_rc_is_not_heard(
    web1: SshTransport, host: SshdHost, key: str
) -> None:
    (host.home / ".bashrc").write_text("echo noise; echo noise >&2; cd /tmp; alias echo=false\n")
    assert "noise" in web1.run(Command("cat ~/.bashrc")).stdout
    result = web1.run(Command("echo hi; echo err >&2", key=key))
    assert (result.stdout, result.stderr) == ("hi\n", "err\n")


def test_a_login_shell_that_reads_otherwise_is_given_the_script_on_stdin(
    web1: SshTransport, host: SshdHost, key: str
) -> None:
    # Like csh, it knows no newline between quotes.
    (host.home / ".bashrc").write_text('case $BASH_EXECUTION_STRING in *"\n"*) exit 1 ;; esac\n')
    assert web1.run(Command("echo one\necho two", key=key)).stdout == "one\ntwo\n"


def test_a_login_shell_that_runs_nothing_is_unreachable(web1: SshTransport, host: SshdHost) -> None:
    (host.home / ".bashrc").write_text("echo This account is closed.; exit 1\n")
    with pytest.raises(Unreachable, match="This account is closed"):
        web1.run(Command("echo hi"))
    # What the server logs of a session may come after its end has arrived here.
    eventually(lambda: host.log.count("Starting session") == host.log.count("Close session"))
    begun = host.log.count("Starting session")
    web1.open()
    assert host.log.count("Starting session") == begun, "it is not asked for a shell once more"


def test_a_timeout_ends_the_whole_process_group(
    web1: SshTransport, host: SshdHost, key: str
) -> None:
    script = "echo so far; sh -c 'trap \"\" TERM; sleep 1234; :' & sleep 1234"
    result = web1.run(Command(script, timeout=4, key=key))
    assert result.state is State.UNKNOWN
    assert result.reason == "timed out after 4 s; its process group was ended"
    assert result.stdout == "so far\n"
    eventually(lambda: not sleepers(host), saying="the end of the grandchildren")


def test_a_timeout_ends_the_group_where_only_one_session_is_allowed(
    make: Maker, host: SshdHost, key: str
) -> None:
    host.configure(MaxSessions=1)
    web1 = make(connect_timeout=4)
    result = web1.run(Command("sleep 1234", timeout=4, key=key))
    assert "its process group was ended" in result.reason
    eventually(lambda: not sleepers(host), saying="the end of the command")


def test_commands_wait_for_each_other_where_sessions_are_few(
    web1: SshTransport, host: SshdHost
) -> None:
    host.configure(MaxSessions=2)
    web1.open()
    with ThreadPoolExecutor(6) as pool:
        results = pool.map(lambda n: web1.run(Command(f"sleep 0.1; echo {n}")), range(6))
        assert [result.stdout for result in results] == [f"{n}\n" for n in range(6)]


def test_one_connection_serves_a_whole_run(web1: SshTransport, host: SshdHost) -> None:
    for number in range(5):
        web1.run(Command("true", key=f"run/{number}"))
    web1.put(b"x", "x")
    assert host.log.count("Accepted publickey") == 1


@pytest.mark.parametrize("busy", [False, True], ids=["", "beside another"])
def test_a_command_does_not_find_itself_among_the_processes(
    web1: SshTransport, host: SshdHost, key: str, busy: bool
) -> None:
    occupied = threading.Thread(target=web1.run, args=[Command("echo >here; cat >gone")])
    subprocess.run(["mkfifo", str(host.home / "gone")], check=True)
    if busy:
        occupied.start()
        eventually((host.home / "here").exists, saying="the other command")
    assert web1.run(Command("pgrep -f unheard-of", key=key)).exit_code == 1
    ended = web1.run(Command("pkill -f unheard-of || echo none", key=key and f"{key}-2"))
    assert ended.stdout == "none\n"
    if busy:
        (host.home / "gone").read_text()
        occupied.join()


def test_a_script_sees_its_own_process_id_and_nothing_of_ours(web1: SshTransport) -> None:
    first, second = (web1.run(Command("echo $$; env")).stdout.split("\n", 1) for _ in range(2))
    assert first[0] != second[0]
    names = [line.partition("=")[0] for line in first[1].splitlines()]
    assert [name for name in names if "BACKOUT" in name or name.startswith("bo_")] == []


def test_a_host_without_setsid_has_a_channel_for_each_command(
    web1: SshTransport, host: SshdHost, key: str
) -> None:
    (host.home / ".bashrc").write_text("PATH=/nowhere\n")
    assert web1.run(Command("type setsid")).exit_code == 127
    (host.home / HOME / "notes" / "run-1").mkdir(parents=True)
    assert web1.run(Command("exit 3", key=key)).exit_code == 3


def test_what_a_command_left_behind_does_not_speak_into_the_next_one(web1: SshTransport) -> None:
    late = "trap '' PIPE; while [ ! -e go ]; do sleep 0.05; done; echo late || :; touch said"
    assert web1.run(Command(f"({late}) & echo now")).stdout == "now\n"
    next = "touch go; while [ ! -e said ]; do sleep 0.05; done; echo next"
    assert web1.run(Command(next)).stdout == "next\n"


def test_a_reading_command_that_a_signal_ended_has_failed(web1: SshTransport) -> None:
    assert web1.run(Command("kill -9 $$")).exit_code == 137
    assert web1.run(Command("exit 143")).exit_code == 143


def test_a_changing_commands_killed_shell_leaves_its_end_unknown(web1: SshTransport) -> None:
    killed = web1.run(Command("kill -9 $$; sleep 0.3; echo on", key="run/step"))
    assert killed.state is State.UNKNOWN
    recalled = web1.recall("run/step", 5)
    assert recalled is not None
    assert recalled.state is State.UNKNOWN


def test_a_changing_command_may_end_as_if_a_signal_had_ended_it(web1: SshTransport) -> None:
    assert web1.run(Command("exit 143", key="run/step")).state is State.UNKNOWN
    recalled = web1.recall("run/step", 5)
    assert recalled is not None
    assert (recalled.state, recalled.exit_code) == (State.FAILED, 143)


@pytest.mark.parametrize("look", [1, 2])
def test_what_a_shell_says_while_its_end_is_looked_for_is_heard(
    web1: SshTransport, look: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, honest = itertools.count(1), paramiko.Channel.exit_status_ready

    def late(channel: paramiko.Channel) -> bool:
        if next(looks) == look:
            (tmp_path / "go").touch()
            assert channel.status_event.wait(60)
        return honest(channel)

    monkeypatch.setattr(paramiko.Channel, "exit_status_ready", late)
    script = f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo said; echo why >&2; exit 3"
    result = web1.run(Command(f"# {'long ' * LONG}\n{script}"))  # which has a channel of its own
    assert (result.stdout, result.reason) == ("said\n", "exited 3: why")


def sleepers(host: SshdHost) -> list[str]:
    return [args for args in host.machine.processes().values() if "sleep 1234" in args]
