"""What the private OpenSSH hosts are, and what their faults look like to a client."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from support.sshd import SshdBed
from support.tools import program
from support.wait import eventually, throughout


def test_a_command_runs_in_the_hosts_own_home_directory(sshd_bed: SshdBed) -> None:
    for host in sshd_bed:
        done = sshd_bed.ssh(host.name, 'echo "$HOME"; pwd; hostname')
        assert done.stdout.split() == [str(host.home), str(host.home), host.name], done.stderr


def test_a_file_written_by_a_relative_path_appears_in_that_home(sshd_bed: SshdBed) -> None:
    sshd_bed.ssh("web1", "echo hello > greeting")
    assert (sshd_bed["web1"].home / "greeting").read_text() == "hello\n"
    assert not (sshd_bed["web2"].home / "greeting").exists()


def test_exit_codes_are_kept(sshd_bed: SshdBed) -> None:
    assert sshd_bed.ssh("web1", "exit 7").returncode == 7


def test_hosts_do_not_see_each_others_processes(sshd_bed: SshdBed) -> None:
    sshd_bed.ssh("web1", "nohup sleep 301 >/dev/null 2>&1 </dev/null &")
    eventually(lambda: "sleep 301" in sshd_bed["web1"].machine.processes().values())
    assert "sleep 301" not in sshd_bed["web2"].machine.processes().values()


def test_a_changed_host_key_is_refused_by_the_client(sshd_bed: SshdBed) -> None:
    sshd_bed["web1"].change_host_key()
    refused = sshd_bed.ssh("web1", "true")
    assert refused.returncode == 255
    assert "HOST IDENTIFICATION HAS CHANGED" in refused.stderr
    assert sshd_bed.ssh("web2", "true").returncode == 0


def test_a_stopped_server_refuses_connections_until_it_starts_again(sshd_bed: SshdBed) -> None:
    host = sshd_bed["web1"]
    host.stop()
    assert "Connection refused" in sshd_bed.ssh("web1", "true").stderr
    host.start()
    assert sshd_bed.ssh("web1", "true").returncode == 0


def test_a_frozen_server_accepts_and_never_answers_until_thawed(sshd_bed: SshdBed) -> None:
    host = sshd_bed["web1"]
    host.freeze()
    assert host.listening
    with pytest.raises(subprocess.TimeoutExpired):
        sshd_bed.ssh("web1", "true", timeout=0.5)
    host.thaw()
    assert sshd_bed.ssh("web1", "true").returncode == 0


def test_a_remote_command_survives_its_killed_session(sshd_bed: SshdBed) -> None:
    host = sshd_bed["web1"]
    with _client(
        sshd_bed, "touch began; until [ -e go ]; do sleep 0.05; done; touch ended"
    ) as client:
        eventually((host.home / "began").exists)
        host.kill_sessions()
        assert client.wait(60) == 255
    (host.home / "go").touch()
    eventually((host.home / "ended").exists, saying="the end of the command without a session")


def test_a_killed_host_takes_its_commands_along_and_can_start_again(sshd_bed: SshdBed) -> None:
    host = sshd_bed["web1"]
    with _client(sshd_bed, "touch at-work; sleep 300") as client:
        eventually((host.home / "at-work").exists)
        host.kill()
        assert client.wait(60) == 255
    eventually(lambda: list(host.machine.processes()) == [1], saying="the end of its commands")
    host.start()
    assert sshd_bed.ssh("web1", "true").returncode == 0


def test_a_power_cut_ends_everything_and_keeps_the_files(sshd_bed: SshdBed) -> None:
    host = sshd_bed["web1"]
    sshd_bed.ssh("web1", "echo kept > file; nohup sleep 302 >/dev/null 2>&1 </dev/null &")
    host.power_cut()
    assert not host.listening
    assert _running("sleep 302") == 0
    host.start()
    assert sshd_bed.ssh("web1", "cat file").stdout == "kept\n"


def test_a_machine_that_stands_still_does_and_says_nothing_until_its_power_is_cut(
    sshd_bed: SshdBed,
) -> None:
    host = sshd_bed["web1"]
    counting = "i=0; while :; do i=$((i + 1)); echo $i > count; done"
    client = _client(sshd_bed, counting)
    count = host.home / "count"
    eventually(lambda: count.exists() and count.read_text() > "")
    host.machine.stand_still()
    seen = count.read_text()
    assert throughout(lambda: count.read_text() == seen, seconds=0.3)
    assert client.poll() is None, "nobody has told it anything"
    host.power_cut()
    assert client.wait(30) != 0
    host.start()
    assert sshd_bed.ssh("web1", "cat count").stdout == seen


def test_max_sessions_limits_the_channels_of_one_connection(sshd_bed: SshdBed) -> None:
    sshd_bed["web1"].configure(MaxSessions=0)
    assert sshd_bed.ssh("web1", "true").returncode == 255
    sshd_bed["web1"].restore()
    assert sshd_bed.ssh("web1", "true").returncode == 0


def _client(bed: SshdBed, command: str) -> subprocess.Popen[bytes]:
    argv = bed.ssh_command("web1", f"sh -c {shlex.quote(command)}")
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _running(command: str) -> int:
    listed = subprocess.run(
        [program("ps"), "-ww", "-eo", "args="], capture_output=True, text=True, check=True
    )
    return listed.stdout.splitlines().count(command)
