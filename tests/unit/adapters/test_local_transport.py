"""This machine as a transport: commands, notes, and what is left when a deployer dies."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backout.adapters.lease import mark
from backout.adapters.transports import captured
from backout.adapters.transports.local import LocalTransport
from backout.adapters.vault import Vault
from backout.errors import Unreachable
from backout.model import Command, Host, SecretSource, State
from support.disk import small_disk
from support.tools import program
from support.wait import eventually

HERE = Host(name="here", connection="local")
SECRET = 's3cr\'et "of" \\nobody'


def one_secret() -> Vault:
    """A vault with one secret, TOKEN."""
    return Vault({"TOKEN": SecretSource(env="TOKEN")}, environ={"TOKEN": SECRET})


@pytest.fixture
def here(tmp_path: Path) -> Iterator[LocalTransport]:
    transport = LocalTransport(HERE, str(tmp_path / ".backout"), one_secret())
    yield transport
    transport.close()


@pytest.fixture(params=["", "run-1/step"], ids=["reading", "changing"])
def key(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_command_that_exits_0_is_done(here: LocalTransport, key: str) -> None:
    result = here.run(Command("echo out; echo err >&2", key=key))
    assert (result.state, result.exit_code) == (State.DONE, 0)
    assert (result.stdout, result.stderr, result.reason) == ("out\n", "err\n", "")


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("false; echo hi", 1),
        ("exit 3", 3),
        ("if", 2),
        ("echo 'unfinished", 2),
        ("}; echo escaped", 2),
        ("no-such-program", 127),
        ("sh -c 'kill -9 $$'", 137),
    ],
)
def test_a_command_that_exits_otherwise_has_failed(
    here: LocalTransport, key: str, script: str, code: int
) -> None:
    result = here.run(Command(script, key=key))
    assert (result.state, result.exit_code) == (State.FAILED, code)
    assert f"exited {code}" in result.reason
    assert result.stdout == ""


def test_quotes_and_newlines_arrive(here: LocalTransport, key: str) -> None:
    script = "echo \"it's\"\necho 'say \"hi\"'\ncat <<'E'\n$HOME `x` \\ !\nE\n"
    assert here.run(Command(script, key=key)).stdout == 'it\'s\nsay "hi"\n$HOME `x` \\ !\n'


def test_a_command_reads_nothing(here: LocalTransport, key: str) -> None:
    assert here.run(Command("cat; echo end", key=key)).stdout == "end\n"


def test_a_command_runs_in_its_directory(here: LocalTransport, key: str, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    assert here.run(Command("pwd", cwd=f"{tmp_path}/a b", key=key)).stdout == f"{tmp_path}/a b\n"
    gone = here.run(Command("echo hi", cwd=f"{tmp_path}/gone", key=key and f"{key}2"))
    assert gone.state is State.FAILED
    assert "gone" in gone.reason


def test_a_secret_is_in_the_environment_and_in_no_argument(here: LocalTransport, key: str) -> None:
    env = (("TOKEN", "\ue000TOKEN\ue001"),)
    result = here.run(Command('printf %s "$TOKEN"; ps -eo args >&2', env=env, key=key))
    assert result.stdout == SECRET
    assert "ps -eo args" in result.stderr
    assert "s3cr" not in result.stderr


def test_a_long_output_keeps_its_head_and_its_tail(here: LocalTransport, key: str) -> None:
    script = "echo HEAD; head -c 10000000 /dev/zero | tr '\\0' x; printf '\\377\\376'; echo TAIL"
    text = here.run(Command(script, key=key)).stdout
    assert text.startswith("HEAD\nxxx")
    assert text.endswith("xxx\ufffd\ufffdTAIL\n")
    assert f"… {10_000_012 - 2 * captured.KEPT} bytes left out …" in text
    assert len(text) < 2 * captured.KEPT + 100


def test_an_output_just_over_the_limit_is_whole(here: LocalTransport, key: str) -> None:
    size = captured.KEPT + 5000
    result = here.run(Command(f"head -c {size} /dev/zero | tr '\\0' x; echo .", key=key))
    assert result.stdout == "x" * size + ".\n"


def test_a_child_that_holds_the_output_open_is_not_waited_for(
    here: LocalTransport, key: str
) -> None:
    started = time.monotonic()
    result = here.run(Command("(exec sleep 120) & echo $!", key=key))
    assert result.state is State.DONE
    assert time.monotonic() - started < 60
    os.kill(int(result.stdout), signal.SIGKILL)


@pytest.mark.parametrize("look", [1, 2])
def test_what_a_shell_says_while_its_end_is_looked_for_is_heard(
    here: LocalTransport, key: str, look: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = itertools.count(1)

    class Late(subprocess.Popen[bytes]):
        """Says its last words, and ends, at this look after its end."""

        def poll(self) -> int | None:
            if next(looks) == look:
                (tmp_path / "go").touch()
                self.wait()
            return super().poll()

    monkeypatch.setattr(subprocess, "Popen", Late)
    script = f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo said; echo why >&2; exit 3"
    result = here.run(Command(script, key=key))
    assert (result.stdout, result.reason) == ("said\n", "exited 3: why")


def test_a_timeout_ends_the_whole_process_group(
    here: LocalTransport, key: str, tmp_path: Path
) -> None:
    script = f"echo so far; sh -c 'trap \"\" TERM; echo $$ >{tmp_path}/pid; sleep 60; :' & sleep 60"
    result = here.run(Command(script, timeout=2, key=key))
    assert (result.state, result.exit_code) == (State.UNKNOWN, None)
    assert result.reason == "timed out after 2 s; its process group was ended"
    assert result.stdout == "so far\n"
    grandchild = int((tmp_path / "pid").read_text())
    eventually(lambda: not _runs(grandchild), saying="the end of the grandchild")


def test_a_shell_that_is_killed_leaves_an_unknown_outcome(here: LocalTransport, key: str) -> None:
    result = here.run(Command("kill -9 $$", key=key))
    assert result.state is State.UNKNOWN
    assert "signal 9" in result.reason


def test_a_key_runs_at_most_once(here: LocalTransport, tmp_path: Path) -> None:
    command = Command(f"echo once >>{tmp_path}/log; echo said; exit 4", key="run/step")
    first, second = here.run(command), here.run(command)
    assert (first.exit_code, first.stdout) == (second.exit_code, second.stdout) == (4, "said\n")
    assert (tmp_path / "log").read_text() == "once\n"


def test_what_never_began_is_recalled_as_nothing(here: LocalTransport) -> None:
    mark(here, "run")
    assert here.recall("run/step", 1.0) is None
    here.run(Command("true", key="run/another"))
    assert here.recall("run/step", 1.0) is None


def test_a_command_that_comes_after_it_was_said_never_to_have_begun_does_not_run(
    here: LocalTransport, tmp_path: Path
) -> None:
    mark(here, "run")
    assert here.recall("run/step", 1.0) is None
    late = here.run(Command(f"touch {tmp_path}/ran", key="run/step"))
    assert late.state is State.FAILED
    assert late.reason == "it came too late: here was told that it never began"
    assert not (tmp_path / "ran").exists()


def test_what_ended_is_recalled_exactly(here: LocalTransport) -> None:
    here.run(Command("echo out; echo err >&2; exit 5", key="run/step"))
    result = here.recall("run/step", 1.0)
    assert result is not None
    assert (result.state, result.exit_code) == (State.FAILED, 5)
    assert (result.stdout, result.stderr) == ("out\n", "err\n")


def test_notes_of_another_boot_cannot_be_trusted_to_be_all(
    here: LocalTransport, tmp_path: Path
) -> None:
    mark(here, "run")
    here.run(Command("true", key="run/another"))
    (tmp_path / ".backout/notes/run/boot").write_text("an-earlier-boot\n")
    result = here.recall("run/step", 1.0)
    assert result is not None
    assert result.state is State.UNKNOWN


LOST = {
    "no mark of the run": "rm -rf notes/run",
    "the mark alone": "rm notes/run/boot",
    "no notes": "rm -rf notes",
    "nothing": "rm -rf ../.backout",
    "a torn start": "printf 12 >notes/run/step.start",
    "an empty start": ": >notes/run/step.start",
}


@pytest.mark.parametrize("how", LOST.values(), ids=LOST)
def test_what_the_run_does_not_find_again_proves_nothing_and_what_was_on_its_way_is_stopped(
    here: LocalTransport, tmp_path: Path, how: str
) -> None:
    mark(here, "run")
    here.run(Command("true", key="run/another"))
    subprocess.run(how, shell=True, cwd=tmp_path / ".backout", check=True)  # noqa: S602
    mark(here, "run", {""})
    for _ in range(2):
        result = here.recall("run/step", 1.0)
        assert result is not None
        assert result.state is State.UNKNOWN
    assert not here.run(Command(f"touch {tmp_path}/ran", key="run/step")).ok
    assert not (tmp_path / "ran").exists()


def test_a_full_disk_refuses_a_command_before_it_runs(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", kilobytes=64) as disk:
        transport = LocalTransport(HERE, str(disk.path / ".backout"), one_secret())
        transport.run(Command("true", key="run/one"))
        disk.fill()
        result = transport.run(Command(f"touch {tmp_path}/ran", key="run/two"))
        assert result.state is State.FAILED
        assert "note cannot be written" in result.reason
        assert not (tmp_path / "ran").exists()
        assert transport.run(Command("echo hi")).stdout == "hi\n"


# --- the deployer dies -------------------------------------------------------------------

_DEPLOYER = """
import sys
from backout.adapters.transports.local import LocalTransport
from backout.adapters.vault import Vault
from backout.errors import Unreachable
from backout.model import Command, Host
home, script = sys.argv[1:]
here = LocalTransport(Host(name="here", connection="local"), home, Vault({}))
here.run(Command(script, key="run/step"))
"""


def killed_deployer(home: Path, script: str, begun: Path) -> None:
    """Start a command from another process and kill that with -9 once `begun` exists."""
    argv = [sys.executable, "-c", _DEPLOYER, str(home), f"echo x >>{begun}; {script}"]
    deployer = subprocess.Popen(argv, start_new_session=True)
    eventually(begun.exists, saying="the command's start")
    deployer.kill()
    deployer.wait(60)


def test_a_killed_deployers_command_goes_on_and_is_recalled(
    here: LocalTransport, tmp_path: Path
) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    script = f"while [ ! -e {go} ]; do sleep 0.05; done; echo finished; exit 6"
    killed_deployer(Path(here.home), script, begun)
    busy = here.run(Command("echo never", key="run/step"))
    assert busy.state is State.UNKNOWN
    assert "still runs" in busy.reason
    go.touch()
    result = here.recall("run/step", 20.0)
    assert result is not None
    assert (result.state, result.exit_code, result.stdout) == (State.FAILED, 6, "finished\n")
    assert begun.read_text() == "x\n"


def test_a_recall_that_waited_long_enough_ends_the_command(
    here: LocalTransport, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    killed_deployer(Path(here.home), f"echo so far; echo $$ >{tmp_path}/pid; sleep 60", begun)
    eventually(lambda: (tmp_path / "pid").read_text().strip())
    result = here.recall("run/step", 0.2)
    assert result is not None
    assert (result.state, result.stdout) == (State.UNKNOWN, "so far\n")
    assert "its process group was ended" in result.reason
    pid = int((tmp_path / "pid").read_text())
    eventually(lambda: not _runs(pid), saying="the end of the command")


def test_a_start_without_an_end_is_an_unknown_outcome(here: LocalTransport, tmp_path: Path) -> None:
    here.run(Command("kill -9 $$", key="run/step"))
    result = here.recall("run/step", 5.0)
    assert result is not None
    assert result.state is State.UNKNOWN
    assert "a start and no end" in result.reason


# --- files -------------------------------------------------------------------------------


def test_put_replaces_a_file_whole(here: LocalTransport, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    here.put(b"new\0", str(target), 0o640)
    assert target.read_bytes() == b"new\0"
    assert target.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_put_on_a_full_disk_changes_nothing_and_says_so(
    here: LocalTransport, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small", kilobytes=64) as disk:
        target = disk.path / "file"
        target.write_text("old")
        with pytest.raises(OSError, match="nothing was replaced"):
            here.put(b"x" * 1_000_000, str(target))
        assert target.read_text() == "old"
        assert [path.name for path in disk.path.iterdir()] == ["file"]


def test_put_into_no_directory_is_an_error(here: LocalTransport, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        here.put(b"x", str(tmp_path / "gone" / "file"))


def _runs(pid: int) -> bool:
    shown = subprocess.run(
        [program("ps"), "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(shown.stdout.strip()) and not shown.stdout.startswith("Z")


def test_a_command_that_ended_is_not_called_unreachable_when_its_long_output_is_out_of_reach(
    tmp_path: Path,
) -> None:
    class Torn(LocalTransport):
        def _execute(self, text: str, timeout: float, **keys: Any) -> captured.Ran:
            if "tail -c" in text and "head -c" not in text:
                raise Unreachable("the link is gone")
            return super()._execute(text, timeout, **keys)

    torn = Torn(HERE, str(tmp_path / ".backout"), one_secret())
    result = torn.run(Command("yes | head -c 400000; exit 3", key="run-1/step"))
    assert (result.state, result.exit_code) == (State.FAILED, 3)
    recalled = torn.recall("run-1/step", 1.0)
    assert recalled is not None
    assert recalled.exit_code == 3


class Elsewhere(LocalTransport):
    """As a plug-in reaches a machine: by a program of its own."""

    words: tuple[str, ...] = ()

    def shell(self) -> tuple[str, ...]:
        return self.words


def elsewhere(directory: Path, *words: str) -> LocalTransport:
    made = Elsewhere(HERE, str(directory / ".backout"), one_secret())
    made.words = words
    return made


def test_a_machine_whose_shell_cannot_be_started_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"no shell could be started here: .*no-such-program"):
        elsewhere(tmp_path, "/no-such-program").run(Command("true"))


def test_a_shell_that_ends_before_it_was_told_everything_is_judged_by_how_it_ended(
    tmp_path: Path,
) -> None:
    long = f"# {'long ' * 60_000}\ntrue"
    result = elsewhere(tmp_path, "/bin/sh", "-c", "exit 3").run(Command(long))
    assert (result.state, result.exit_code) == (State.FAILED, 3)


def test_a_command_that_closes_its_output_has_its_time_all_the_same(here: LocalTransport) -> None:
    ran = here._execute("exec >&- 2>&-; sleep 1239", 0.3)
    assert (ran.timed_out, ran.exit_code) == (True, None)
    ran = here._execute("exec >&- 2>&-; sleep 0.1; exit 4", 30)
    assert (ran.timed_out, ran.exit_code) == (False, 4)
