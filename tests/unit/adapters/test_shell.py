"""Shell text, run by the shells that hosts really have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backout.adapters.programs import program as program_text
from backout.adapters.transports import captured, shell_text
from backout.adapters.vault import Vault
from backout.errors import Refused
from backout.model import Command, SecretSource
from support.tools import program
from support.wait import eventually

MARK = "backout-mark"
SHELLS = {"dash": ["dash"], "bash": ["bash"], "busybox": ["busybox", "sh"]}
TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=60)


def speak(text: str, shell_name: str = "dash") -> tuple[captured.Capture, captured.Capture, int]:
    argv = [program(SHELLS[shell_name][0]), *SHELLS[shell_name][1:]]
    done = subprocess.run(argv, input=text.encode(), capture_output=True, check=False, timeout=60)
    out, err = captured.Capture(MARK), captured.Capture(MARK)
    out.feed(done.stdout)
    err.feed(done.stderr)
    return out, err, done.returncode


@pytest.fixture(params=SHELLS)
def shell_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@given(value=TEXT, word=TEXT)
@settings(max_examples=30)
def test_every_value_and_every_quote_arrives_as_it_was(value: str, word: str) -> None:
    script = f'printf "%s|" "$VALUE" {shell_text.quote(word)}'
    out, _, code = speak(shell_text.plain(Command(script), (("VALUE", value),), MARK))
    assert code == 0
    assert out.text() == f"{value}|{word}|"


@given(key=TEXT)
def test_a_key_becomes_a_flat_and_safe_file_name(key: str) -> None:
    for name in shell_text.note_names(key):
        assert "/" not in name
        assert not name.startswith(".")
        assert len(name.encode()) < 100


@given(one=TEXT, two=TEXT)
def test_two_keys_have_two_notes(one: str, two: str) -> None:
    same = shell_text.note_names(f"run/{one}") == shell_text.note_names(f"run/{two}")
    assert same == (one == two)


def test_a_noted_command_keeps_its_output_and_its_end(shell_name: str, tmp_path: Path) -> None:
    command = Command("echo out; echo err >&2; exit 3", key="run 1/step 1")
    out, err, code = speak(
        shell_text.noted(command, (), MARK, str(tmp_path), shell_text.Fence()), shell_name
    )
    assert (out.text(), err.text(), code) == ("out\n", "err\n", 3)
    assert out.words[1] == "run"
    directory, name = shell_text.note_names(command.key)
    note = tmp_path / "notes" / directory / name
    assert note.with_name(f"{name}.end").read_text() == "3 end\n"
    assert note.with_name(f"{name}.out").read_text() == "out\n"


def test_a_note_that_cannot_be_written_keeps_its_command_from_running(
    shell_name: str, tmp_path: Path
) -> None:
    (tmp_path / "home").write_text("a file where the directory should be")
    command = Command(f"echo ran >>{tmp_path}/log", key="run/step")
    text = shell_text.noted(command, (), MARK, str(tmp_path / "home"), shell_text.Fence())
    assert speak(text, shell_name)[0].words[1] == "full"
    assert not (tmp_path / "log").exists()


def test_a_key_that_ended_is_not_run_again(shell_name: str, tmp_path: Path) -> None:
    command = Command(f"echo once >>{tmp_path}/log; echo said", key="run/step")
    text = shell_text.noted(command, (), MARK, str(tmp_path), shell_text.Fence())
    first, second = speak(text, shell_name), speak(text, shell_name)
    assert first[0].text() == second[0].text() == "said\n"
    assert second[0].words[1] == "ended"
    assert (tmp_path / "log").read_text() == "once\n"


def test_a_command_runs_only_while_the_token_is_ours(shell_name: str, tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    token = tmp_path / "lock" / "token"
    command = Command(f"echo ran >>{tmp_path}/log", key="run/the step")
    text = shell_text.noted(command, (), MARK, str(tmp_path), shell_text.Fence("ours"))
    token.write_text("theirs\n")
    assert speak(text, shell_name)[0].words[1] == "fenced"
    assert not (tmp_path / "log").exists()
    token.write_text("ours\n")
    assert speak(text, shell_name)[0].words[1] == "run"
    assert (tmp_path / "log").read_text() == "ran\n"
    assert (tmp_path / "lock" / "step").read_text() == "the step\n"


def test_a_torn_script_runs_nothing(shell_name: str, tmp_path: Path) -> None:
    text = shell_text.plain(Command(f"touch {tmp_path}/ran"), (), MARK)
    for length in range(len(text) - 2 - len("</dev/null")):
        if length % 7 == 0:
            speak(text[:length], shell_name)
    assert not (tmp_path / "ran").exists()


def test_the_wrapper_leaves_the_script_its_own_names(shell_name: str, tmp_path: Path) -> None:
    script = 'echo "${n-unset} ${d-unset} ${t-unset} ${p-unset} ${s-unset}"'
    command = Command(script, key="run/step")
    out, _, _ = speak(
        shell_text.noted(command, (), MARK, str(tmp_path), shell_text.Fence()), shell_name
    )
    assert out.text() == "unset unset unset unset unset\n"


def test_a_name_that_no_variable_can_have_is_refused() -> None:
    with pytest.raises(Refused, match="not a name"):
        shell_text.plain(Command("true"), (("A;rm", "x"),), MARK)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/srv/my app", "'/srv/my app'"),
        ("srv/app", '"${HOME:-/}"/srv/app'),
        ("~/my app", "\"${HOME:-/}\"/'my app'"),
        ("~", '"${HOME:-/}"'),
    ],
)
def test_a_path_starts_at_the_root_or_at_home(path: str, text: str) -> None:
    assert shell_text.path(path) == text


@given(chunks=st.lists(st.binary(max_size=50)), noise=st.binary(max_size=50))
def test_a_capture_drops_what_came_before_the_mark(chunks: list[bytes], noise: bytes) -> None:
    capture = captured.Capture(MARK)
    capture.feed(noise)
    capture.feed(f"{MARK} 12 ".encode())
    capture.feed(b"run\n")
    for chunk in chunks:
        capture.feed(chunk)
    assert capture.words == ("12", "run")
    assert capture.kept() == b"".join(chunks)


def test_a_capture_keeps_head_and_tail_and_says_what_it_left_out() -> None:
    capture = captured.Capture(MARK)
    capture.feed(f"{MARK} 1 run\n".encode())
    capture.feed(b"HEAD")
    for _ in range(100):
        capture.feed(b"x" * 50_000)
    capture.feed(b"TAIL")
    text = capture.text()
    left = 5_000_008 - 2 * captured.KEPT
    assert text.startswith("HEAD")
    assert text.endswith("TAIL")
    assert f"\n… {left} bytes left out …\n" in text
    assert len(text) < 2 * captured.KEPT + 100


def test_a_secret_that_a_long_output_was_cut_in_is_redacted_at_both_ends() -> None:
    token = "sk_live_" + "0123456789abcdef" * 8
    vault = Vault({"key": SecretSource(env="KEY")}, environ={"KEY": token})
    capture = captured.Capture(MARK)
    capture.feed(f"{MARK} 1 run\n".encode())
    lines = f"{'x' * 50} {token}\n".encode() * 3000
    capture.feed(lines)

    shown = vault.redact(capture.text())

    assert "sk_live" not in shown
    assert "0123456789abcdef" not in shown


def lease(shell_name: str, home: Path, script: str, **values: str) -> tuple[str, int]:
    """One of the programs about leases, in that shell."""
    given = {"token": "t1", "run": "r1", "notes": "r1", "host": "web1", "name": "web1"}
    given |= {"owner": "ann@laptop", "ttl": "60", "began": "", "spare": "9", "days": "9"}
    given |= {"few": "9", "force": "", "only": "", "grace": "2", **values}
    names = "".join(f"{name}={shell_text.quote(value)}\n" for name, value in given.items())
    text = f"home={home}\n{names}{shell_text.LIBRARY}{program_text('lease')}{script}"
    out, _, code = speak(shell_text.plain(Command(text), (), MARK), shell_name)
    return out.text(), code


def test_a_lease_is_taken_shown_and_taken_away_in_every_shell(
    shell_name: str, tmp_path: Path
) -> None:
    home = tmp_path / ".backout"
    acquire, take = program_text("acquire"), program_text("end_group") + program_text("take")
    assert lease(shell_name, home, acquire)[1] == 0
    assert (home / "notes/r1/boot").read_text().strip()
    assert lease(shell_name, home, acquire, token="t2", run="r2", notes="r2")[1] == 75
    shown = dict(line.split("=", 1) for line in lease(shell_name, home, "show ''")[0].splitlines())
    assert (shown["run"], shown["owner"], shown["token"]) == ("r1", "ann@laptop", "t1")
    assert lease(shell_name, home, take, token="t9")[1] == 75
    command = Command("sleep 60", key="r1/steps/0", title="Slow down")
    text = shell_text.noted(command, (), MARK, str(home), shell_text.Fence("t1"))
    argv = [program(SHELLS[shell_name][0]), *SHELLS[shell_name][1:]]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
    ) as slow:
        assert slow.stdin is not None
        slow.stdin.write(text)
        slow.stdin.close()
        eventually(lambda: "alive=" in lease(shell_name, home, "show ''")[0])
        alive, code = lease(shell_name, home, take)
        assert (code, alive.split()[0], alive.split(" ", 2)[2]) == (
            79,
            f"alive={slow.pid}",
            "r1 Slow down\n",
        )
        assert lease(shell_name, home, take, force="1")[1] == 0
        slow.wait(60)
    assert not (home / "lock").exists()
