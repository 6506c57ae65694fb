"""Nothing that a test started survives the test process, however that ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support import ports
from support.sshd import SshdBed
from support.tools import program
from support.wait import eventually

TESTS = Path(__file__).resolve().parents[1]
_CLAIM = "from support.ports import free_port; print(free_port(), flush=True); input()"
_LEAVE_BEHIND = """
import os, sys
from pathlib import Path
from support.netns import NetnsBed
from support.process import Process
from support.sshd import SshdBed
directory = Path(sys.argv[1])
SshdBed(directory / "sshd", ["one"]).start()
(two,) = NetnsBed(directory / "netns", ["two"]).start()
Process(["sleep", "303"], log=directory / "log")
print(two.network, flush=True)
input()
"""


def test_a_killed_test_process_leaves_no_process_and_no_network(tmp_path: Path) -> None:
    with _python(_LEAVE_BEHIND, str(tmp_path)) as child:
        assert child.stdout is not None
        network = child.stdout.readline().strip()
        assert str(tmp_path) in _system_state()
        assert network in _networks()
        child.kill()
    eventually(lambda: str(tmp_path) not in _system_state(), saying="the end of the machines")
    eventually(lambda: network not in _networks(), saying="the end of the network")
    eventually(lambda: "sleep 303" not in _system_state(), saying="the end of the process")


def test_a_stopped_bed_leaves_no_process(tmp_path: Path) -> None:
    with SshdBed(tmp_path / "sshd") as bed:
        bed.ssh("web1", "nohup setsid sleep 304 >/dev/null 2>&1 </dev/null &")
        assert "sleep 304" in _system_state()
    assert "sleep 304" not in _system_state()
    assert str(tmp_path) not in _system_state()


def test_two_test_processes_never_get_the_same_port() -> None:
    with _python(_CLAIM) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        assert not ports.claim(theirs)
        other.communicate("\n")
    assert ports.claim(theirs)
    ports.release(theirs)


def _python(text: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", text, *arguments],
        cwd=TESTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _system_state() -> str:
    listed = subprocess.run(
        [program("ps"), "-ww", "-eo", "args="], capture_output=True, text=True, check=True
    )
    return listed.stdout


def _networks() -> list[str]:
    listed = subprocess.run(
        [program("ip"), "netns", "list"], capture_output=True, text=True, check=True
    )
    return [line.split()[0] for line in listed.stdout.splitlines()]
