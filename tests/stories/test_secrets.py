"""A sentinel secret goes through everything, and is found nowhere afterwards."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from support.sshd import SshdBed
from support.yard import Yard

SENTINEL = 'Zq7/+x"e&= s3nt\\wel'
SPELL = r"""python3 - <<'END'
import base64, json, os, sys, urllib.parse
s = os.environ["TOKEN"]
b = base64.b64encode
spelt = [s, b(s.encode()).decode(), b(("x" + s).encode()).decode(), b(("xy" + s).encode()).decode(),
         urllib.parse.quote(s), urllib.parse.quote(s, safe=""), urllib.parse.quote_plus(s),
         json.dumps(s), json.dumps(json.dumps(s)), s.encode().hex()]
for stream in (sys.stdout, sys.stderr):
    print("spelt:", *spelt, sep="\n", file=stream)
sys.stdout.write("x" * 4093 + s + "\n")
END"""


def forms() -> list[bytes]:
    """Every spelling that must be found nowhere. Of base64, what no neighbour can change."""
    plain = SENTINEL.encode()
    shifted = [base64.b64encode(b"x" * n + plain).decode() for n in range(3)]
    cores = [shifted[0][:-4], shifted[1][4:-4], shifted[2][4:-4]]
    quoted = [quote(SENTINEL), quote(SENTINEL, safe=""), quote_plus(SENTINEL)]
    escaped = [json.dumps(SENTINEL)[1:-1], json.dumps(json.dumps(SENTINEL))[3:-3]]
    return [plain, plain.hex().encode(), *(t.encode() for t in (*cores, *quoted, *escaped))]


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdBed]:
    with SshdBed(tmp_path_factory.mktemp("secrets"), ("web1",)) as bed:
        yield bed


@pytest.fixture(params=["here", "ssh"])
def yard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Yard]:
    """This machine, and a host over SSH. The secret lies beside the yard, and is in no file of
    it."""
    bed = request.getfixturevalue("bed") if request.param == "ssh" else None
    vault = tmp_path / "vault"
    vault.write_text(SENTINEL + "\n")
    vault.chmod(0o600)
    (tmp_path / "yard").mkdir()
    with Yard(tmp_path / "yard", bed, secrets={"token": {"file": str(vault)}}) as yard:
        yield yard


def loud(yard: Yard, name: str = "Loud", **keys: Any) -> dict[str, Any]:
    """A step that spells the secret in its output, and uses it in its text and its undo."""
    step = yard.step(name, env={"TOKEN": "{{ secrets.token }}"}, **keys)
    use = 'test {{ secrets.token }} = "$TOKEN"'
    step["run"] = f"{use}\necho {{{{ secrets.token }}}}\n{SPELL}\n{step['run']}"
    step["undo"] = f"{use} && echo {{{{ secrets.token }}}} >&2 && {step['undo']}"
    return step


def traces(yard: Yard, *texts: str) -> list[str]:
    """Where the secret is found: in what was said, and in every file of the yard and its host."""
    roots = [yard.files.parent, *(host.home for host in yard.bed or ())]
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    contents = {str(path): path.read_bytes() for path in files}
    contents |= {f"text {n}": text.encode() for n, text in enumerate(texts)}
    return [
        f"{name}: {form!r}" for name, data in contents.items() for form in forms() if form in data
    ]


def everything_said(yard: Yard, run: str) -> list[str]:
    """What there is to be read about a run, for people and for programs."""
    words = [
        ("history",),
        ("show", run),
        ("status", "--target", "prod"),
        ("verify", "--target", "prod"),
    ]
    said = [yard.project.say(*each, *json) for each in words for json in ((), ("--json",))]
    return [text for each in said for text in (each.out, each.err)]


# --- what runs -----------------------------------------------------------------------------


def test_a_step_that_spells_its_secret_leaves_no_trace_of_it(yard: Yard) -> None:
    yard.runbook(loud(yard))
    plain = yard.project.say("deploy", "--target", "prod")
    assert plain.code == 0, plain.out + plain.err
    said = yard.good_release()
    told = everything_said(yard, said.data["run"])
    assert traces(yard, plain.out, plain.err, said.out, said.err, *told) == []
    assert any("[secret token]" in text for text in told), "its place is marked"
    assert not any("\ue000" in text for text in told), "no reference is shown raw"


def test_a_step_that_fails_beside_its_secret_leaves_no_trace_of_it(yard: Yard) -> None:
    yard.runbook(loud(yard), loud(yard, "Bad", after='echo "wrong: $TOKEN" >&2; exit 3'))
    plain = yard.project.say("deploy", "--target", "prod")
    assert plain.code == 4, plain.out + plain.err
    said = yard.deploy()
    assert said.code == 4, said.out + said.err
    assert "wrong: [secret token]" in said.out
    told = everything_said(yard, said.data["run"])
    assert traces(yard, plain.out, plain.err, said.out, said.err, *told) == []
    assert yard.effects() == {}


def test_a_secret_that_was_typed_reaches_its_step_and_its_undo_and_leaves_no_trace(
    yard: Yard,
) -> None:
    """Whether the run names it or not: what was typed is on record, here and on the hosts."""
    whole = hashlib.sha256(SENTINEL.encode()).hexdigest()
    same = f'[ "$(printf %s {{{{ params.word }}}} | sha256sum)" = "{whole}  -" ]'
    step = yard.step("Typed", before=f"{same} || exit 1")
    step["undo"] = f"{same} && {step['undo']}"
    yard.runbook(step, params={"word": {"required": True}})
    words = ("--target", "prod", "--param", f"word={SENTINEL}")
    typed = [yard.project.say(verb, *words) for verb in ("plan", "deploy", "deploy")]
    assert [said.code for said in typed] == [0, 0, 0], typed[-1].err
    run = yard.say("history").data["runs"][0]["run"]
    typed.append(yard.project.say("rollback", "--target", "prod", "--yes"))
    assert typed[-1].code == 0, typed[-1].out + typed[-1].err
    told = everything_said(yard, run)
    assert any("[secret token]" in text for text in told), "its place is marked"
    assert traces(yard, *(text for said in typed for text in (said.out, said.err)), *told) == []


def test_while_it_runs_the_secret_is_in_no_command_line(yard: Yard) -> None:
    yard.runbook(loud(yard, before=yard.hold()))
    words = ("-m", "backout", "deploy", "--target", "prod", "--json")  # a process of that name
    project = yard.project
    process = subprocess.Popen(
        [sys.executable, *words], cwd=project.directory, env=project.env, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yard.busy("Loud-web1" if yard.bed else "Loud-here")
    lines = command_lines()
    yard.let_go()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert b"deploy" in lines, "this very deploy is among them"
    assert [form for form in forms() if form in lines] == []


def test_an_unfinished_run_keeps_output_for_its_owner_only_until_it_has_ended(yard: Yard) -> None:
    """`resume` needs to know what was printed, so the machine keeps it as long as the run is
    unfinished, in directories that nobody else may enter."""
    yard.runbook(loud(yard, after=yard.hold()))
    process = yard.start()
    yard.busy("Loud-web1" if yard.bed else "Loud-here")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = [Path(trace.partition(": ")[0]) for trace in traces(yard)]
    assert all(any(up.stat().st_mode & 0o077 == 0 for up in path.parents) for path in kept)
    yard.let_go()
    said = yard.say("resume")
    assert said.code == 0, said.out + said.err
    assert traces(yard, said.out, said.err, *everything_said(yard, said.data["run"])) == []


def test_a_resumed_run_uses_the_secret_of_today(yard: Yard) -> None:
    """The journal knows it by name only."""
    vault = yard.files.parents[1] / "vault"
    expected = yard.files.parent / "expected"
    yard.runbook(
        yard.step("Slow", before=yard.hold()),
        yard.step("Use", before=f'test {{{{ secrets.token }}}} = "$(cat {expected})"'),
    )
    process = yard.start()
    yard.busy("Slow-web1" if yard.bed else "Slow-here")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    vault.write_text("another value\n")
    expected.write_text("another value\n")
    yard.let_go()
    said = yard.say("resume")
    assert said.code == 0, said.out + said.err


# --- what is asked -------------------------------------------------------------------------


def test_a_check_that_sends_its_secret_and_gets_it_back_leaves_no_trace_of_it(yard: Yard) -> None:
    with echoing() as (address, heard):
        header = {"Authorization": "Bearer {{ secrets.token }}", "X-Url": "{{ secrets.token }}"}
        check = {"http": {"url": f"{address}/?q=1", "headers": header}}
        expect = ["status == 200", "body.never == 'there'"]
        yard.inventory(checks={"echo": {**check, "expect": expect}})
        yard.runbook(yard.step("First"))
        plain = yard.project.say("deploy", "--target", "prod")
        said = yard.deploy()
        told = everything_said(yard, said.data["run"])
    assert (plain.code, said.code) == (4, 4), plain.out + said.out
    assert any(SENTINEL in header for header in heard), "it was sent"
    assert traces(yard, plain.out, plain.err, said.out, said.err, *told) == []


def test_a_secret_that_cannot_be_had_refuses_before_any_change(yard: Yard) -> None:
    vault = yard.files.parents[1] / "vault"
    yard.runbook(loud(yard))
    for content in (None, "half\0 of it"):
        vault.unlink() if content is None else vault.write_text(content)
        said = yard.deploy()
        assert said.code == 3, said.out + said.err
        assert "secret token " in said.data["error"]["what"]
    assert yard.effects() == {}


def test_of_several_secrets_that_cannot_be_had_the_first_by_name_is_told(tmp_path: Path) -> None:
    names = "dbcafe"
    yard = Yard(tmp_path, secrets={name: {"env": f"NOWHERE_{name}"} for name in names})
    step = yard.step("First")
    yard.runbook({**step, "env": {name.upper(): f"{{{{ secrets.{name} }}}}" for name in names}})
    said = yard.deploy()
    assert (said.code, yard.effects()) == (3, {}), said.out + said.err
    assert said.data["error"]["what"].startswith("secret a "), said.data["error"]


def test_a_secret_given_by_a_command_or_the_environment_leaves_no_trace_either(
    tmp_path: Path,
) -> None:
    vault = tmp_path / "vault"
    vault.write_text(SENTINEL)
    (tmp_path / "yard").mkdir()
    secrets = {"token": {"command": f"cat {vault}"}, "other": {"env": "SENTINEL_OF_TODAY"}}
    yard = Yard(tmp_path / "yard", secrets=secrets)
    yard.project.env["SENTINEL_OF_TODAY"] = SENTINEL
    step = loud(yard)
    step["run"] = f'test {{{{ secrets.other }}}} = "$TOKEN"\nenv\n{step["run"]}'
    yard.runbook(step)
    plain = yard.project.say("deploy", "--target", "prod")
    assert plain.code == 0, plain.out + plain.err
    said = yard.good_release()
    assert (
        traces(yard, plain.out, plain.err, said.out, *everything_said(yard, said.data["run"])) == []
    )


def command_lines() -> bytes:
    """Of every process of this machine, those of the test's hosts included."""
    lines = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            lines += path.read_bytes()
    return lines


@contextmanager
def echoing() -> Iterator[tuple[str, list[str]]]:
    """A service that answers with the headers that it was sent."""
    heard: list[str] = []

    class Echo(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.extend(self.headers.values())
            body = json.dumps({"headers": dict(self.headers), "said": str(self.headers)}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Echo", self.headers["X-Url"])
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", heard
        server.shutdown()
        thread.join()
