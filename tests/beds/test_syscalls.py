"""What is said of a process's system calls is so."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from support.syscalls import SUPPORTED, Call, Tracer, failing, killed
from support.wait import eventually

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="they are told apart on x86-64 only")

PROGRAM = """
import os, signal, sys, threading
os.kill(os.getpid(), signal.SIGSTOP)
log = os.open("log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
def two(word):
    for n in "12":
        try:
            os.write(log, f"{word}{n}\\n".encode())
        except OSError as error:
            os.write(log, f"{error.errno}\\n".encode())
two("first")
other = threading.Thread(target=two, args=["second"])
other.start()
other.join()
os.rename("log", "done")
"""


def of_the_log(call: Call) -> bool:
    return call.about.endswith(("/log", "/done"))


def traced(directory: Path, tracer: Tracer) -> int | None:
    process = subprocess.Popen([sys.executable, "-S", "-c", PROGRAM], cwd=directory)
    stat = Path(f"/proc/{process.pid}/stat")
    eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", every=0.005)
    tracer.follow(process.pid).join(20)
    process.returncode = tracer.code
    return tracer.code


def test_the_calls_of_all_threads_have_one_order(tmp_path: Path) -> None:
    tracer = Tracer(wanted=of_the_log)
    assert traced(tmp_path, tracer) == 0
    assert tracer.count == 6
    assert (tmp_path / "done").read_text() == "first1\nfirst2\nsecond1\nsecond2\n"


@pytest.mark.parametrize(
    ("at", "left"), [(1, None), (2, ""), (3, "first1\n"), (5, "first1\nfirst2\nsecond1\n")]
)
def test_the_call_that_meets_a_kill_is_not_made_and_all_before_it_are(
    tmp_path: Path, at: int, left: str | None
) -> None:
    tracer = Tracer(killed, at, wanted=of_the_log)
    assert traced(tmp_path, tracer) == -9
    assert str(tmp_path) in tracer.met
    log = tmp_path / "log"
    assert (log.read_text() if log.exists() else None) == left


def test_a_call_that_is_to_fail_fails_and_is_not_made(tmp_path: Path) -> None:
    tracer = Tracer(failing(errno.ENOSPC), 4, wanted=of_the_log)
    assert traced(tmp_path, tracer) == 0
    assert (tmp_path / "done").read_text() == "first1\nfirst2\n28\nsecond2\n"
