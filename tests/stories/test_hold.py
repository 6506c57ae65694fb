"""`--hold`: a run that fails stands still, and a person says how it goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backout.adapters.storage.spoken import Spoken
from backout.api import _Quiet
from backout.commands.hold import Answering
from backout.commands.options import Hold
from backout.ports import Said as Words
from backout.project.project import Workplace
from support.held import Held
from support.loopback import Answer as Reply
from support.loopback import Web
from support.project import Said
from support.sshd import SshdBed
from support.takeover import burnt, expire
from support.terminal import Session, on_a_terminal
from support.wait import eventually
from support.warm import Started
from support.yard import Yard

HOLD = ("--hold", "--hold-for", "10m")


def needs(yard: Yard, name: str, host: str = "", **keys: Any) -> dict[str, Any]:
    """A step that fails on that host until `files.parent/mended-HOST` is there."""
    mended = f"{yard.files.parent}/mended-{{{{ host.name }}}}"
    fails = f"if [ {{{{ host.name }}}} = {host or 'here'} ]; then test -e {mended}; fi"
    return yard.step(
        name, before=f"{fails} || {{ rmdir {yard.place(name)}.busy; exit 1; }}", **keys
    )


def mend(yard: Yard, host: str = "here") -> None:
    (yard.files.parent / f"mended-{host}").touch()


def held(yard: Yard, *words: str) -> Started:
    """A deploy that has failed, and waits for an answer."""
    process = yard.start("deploy", *HOLD, *words)
    await_hold(process)
    return process


def await_hold(process: Started) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if "to answer: " in line:
            return
    raise AssertionError(f"never held: {process.communicate()}")


def killed(yard: Yard, *words: str) -> None:
    """The same, and then its process is gone."""
    process = held(yard, *words)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def answer(yard: Yard, answer: str, *words: str) -> Said:
    return yard.say("hold", "--answer", answer, *words)


def kinds(yard: Yard) -> list[str]:
    return [kind for kind, _, _ in yard.records()]


def until(yard: Yard) -> datetime:
    body = next(body for kind, _, body in yard.records() if kind == "held")
    return datetime.fromisoformat(body["until"])


def run_of(yard: Yard) -> str:
    found: str = yard.project.say("history", "--json").data["runs"][0]["run"]
    return found


def end(process: Started) -> tuple[int, str]:
    out, err = process.communicate(timeout=60)
    return process.wait(), out + err


# --- each answer ---------------------------------------------------------------------------


def test_again_tries_the_step_once_more_and_the_run_goes_on(yard: Yard) -> None:
    yard.runbook(yard.step("First"), needs(yard, "Second"), yard.step("Third"))
    process = held(yard)
    status = yard.say("status")
    (question,) = status.data["held"]
    assert (question["step"], question["host"]) == ("Second", "here")
    assert "--host here --answer again|done|back-out" in status.data["next"]
    mend(yard)
    said = answer(yard, "again")
    assert (said.code, said.data["answered"]) == (0, "Second on here: again")
    assert answer(yard, "again").code == 3, "one question is answered once"
    assert end(process)[0] == 0
    assert yard.effects() == {"First-here": 1, "Second-here": 1, "Third-here": 1}
    (told,) = yard.project.say("show", run_of(yard), "--json").data["held"]
    assert told["answer"] == "again"
    assert told["answered_by"]
    assert told["answered_at"] > told["since"]
    assert yard.project.say("history", "--check").code == 0


def test_an_answer_that_ends_the_run_at_once_was_given(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.runbook(needs(yard, "Only"))
    process = held(yard)
    mend(yard)
    say = Spoken.say

    def say_and_see_it_end(self: Spoken, said: Words, at: datetime) -> bool:
        given = say(self, said, at)
        assert end(process)[0] == 0
        return given

    monkeypatch.setattr(Spoken, "say", say_and_see_it_end)
    for name, value in yard.project.env.items():
        monkeypatch.setenv(name, value)
    workplace = Workplace(yard.project.directory)
    answering = Answering(workplace, _Quiet(lambda _: None, yes=False))
    given = answering.hold(Hold(target="prod", run=None, host=None, step=None, answer="again"))
    assert given.data["answered"] == "Only on here: again"
    workplace.close()


def test_done_counts_only_where_the_check_agrees_and_stays_undoable(yard: Yard) -> None:
    second = needs(yard, "Second", check=f"test -e {yard.place('Second')}")
    yard.runbook(yard.step("First"), second, needs(yard, "Third", host="here"))
    process = held(yard)
    assert answer(yard, "done").code == 0
    await_hold(process)
    (question,) = yard.say("status").data["held"]
    assert question["why"] == "Second on here is not done: its check says that it is not"
    (yard.files / "Second-here").write_text("by hand\n")
    assert answer(yard, "done").code == 0
    await_hold(process)
    (question,) = yard.say("status").data["held"]
    assert question["step"] == "Third", "an answer is for one step"
    assert answer(yard, "back-out").code == 0
    code, told = end(process)
    assert (code, "answered: back out" in told) == (4, True)
    assert yard.effects() == {}
    assert "done by hand, says" in yard.project.say("show", run_of(yard)).out


def test_nothing_counts_as_done_because_somebody_says_so(yard: Yard) -> None:
    yard.runbook(needs(yard, "Only"))
    process = held(yard)
    assert answer(yard, "done").code == 0
    await_hold(process)
    (question,) = yard.say("status").data["held"]
    assert "it has no `check`" in question["why"]
    process.send_signal(signal.SIGTERM)
    code, told = end(process)
    assert (code, "interrupted by SIGTERM" in told) == (4, True)


# --- after a crash ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("hold", "--answer", "again"), 0),
        (("hold", "--answer", "done"), 0),
        (("hold", "--answer", "back-out"), 4),
        (("abort",), 4),
    ],
    ids=lambda words: words[-1] if isinstance(words, tuple) else "",
)
def test_after_a_crash_each_answer_ends_the_run(
    yard: Yard, words: tuple[str, ...], code: int
) -> None:
    step = needs(yard, "Second", check=f"test -e {yard.place('Second')}")
    yard.runbook(yard.step("First"), step)
    killed(yard)
    if words[-1] == "done":
        (yard.files / "Second-here").write_text("by hand\n")
    else:
        mend(yard)
    said = yard.say(*words)
    assert said.code == code, said.out + said.err
    assert yard.effects() == ({} if code else {"First-here": 1, "Second-here": 1})
    assert kinds(yard).count("held") == 1
    assert yard.say("hold").code == 3, "nothing is asked any more"


def test_a_hold_that_has_expired_is_backed_out_by_whoever_comes_next(yard: Yard) -> None:
    yard.runbook(yard.step("First"), needs(yard, "Second"))
    yard.inventory(rollout={"soak": "0s", "hold_for": "10s"})
    process = yard.start("deploy", "--hold")
    await_hold(process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    mend(yard)
    eventually(lambda: datetime.now(UTC) > until(yard), saying="its end")
    assert "takes no other answer now" in answer(yard, "again").out
    said = yard.say("resume")
    assert (said.code, yard.effects()) == (4, {}), said.out + said.err
    assert "nobody answered until" in said.data["reason"]
    (told,) = said.data["held"]
    assert (told["answer"], told["answered_by"]) == ("back-out", "")


def test_a_hold_ends_by_itself_into_backing_out(yard: Yard) -> None:
    yard.runbook(yard.step("First"), needs(yard, "Second"))
    said = yard.say("deploy", "--hold", "--hold-for", "300ms")
    assert (said.code, yard.effects()) == (4, {}), said.out + said.err
    assert "nobody answered until" in said.data["reason"]


# --- several hosts -------------------------------------------------------------------------


def test_each_failed_host_is_a_question_of_its_own(fleet: Yard) -> None:
    fleet.inventory(rollout={"batches": ["100%"], "soak": "0s"})
    mended = f"{fleet.files.parent}/mended-{{{{ host.name }}}}"
    place = fleet.place("Second")
    fails = f"if [ {{{{ host.name }}}} != web3 ]; then test -e {mended}; fi"
    second = fleet.step(
        "Second", before=f"{fails} || {{ rmdir {place}.busy; exit 1; }}", check=f"test -e {place}"
    )
    fleet.runbook(fleet.step("First"), second, fleet.step("Third"))
    process = held(fleet)

    def asked() -> set[str]:
        return {each["host"] for each in fleet.say("status").data["held"]}

    eventually(lambda: asked() == {"web1", "web2"}, saying="both are asked about")
    unclear = answer(fleet, "again")
    assert (unclear.code, "which of 2?" in unclear.out) == (2, True)
    assert answer(fleet, "again", "--host", "web3").code == 2
    mend(fleet, "web1")
    assert answer(fleet, "again", "--host", "web1").code == 0
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (fleet.files / "Second-web2").write_text("by hand\n")
    expire(fleet)
    said = answer(fleet, "done", "--host", "web2")
    assert said.code == 0, said.out + said.err
    assert {each["host"]: each["answer"] for each in said.data["held"]} == {
        "web1": "again",
        "web2": "done",
    }
    names = ("First", "Second", "Third")
    assert fleet.effects() == {f"{n}-{host}": 1 for n in names for host in ("web1", "web2", "web3")}


def test_a_host_within_the_budget_goes_back_alone_and_nobody_is_asked(fleet: Yard) -> None:
    fleet.inventory(rollout={"batches": ["100%"], "soak": "0s", "max_failures": 1})
    fleet.runbook(needs(fleet, "Only", host="web2"))
    said = fleet.say("deploy", *HOLD)
    assert said.code == 0, said.out + said.err
    assert said.data["hosts"]["web2"]["state"].startswith("withdrawn")
    assert "held" not in kinds(fleet)


def test_another_laptop_finds_the_question_and_answers_it(bed: SshdBed, tmp_path: Path) -> None:
    with Yard(tmp_path, bed, rollout={"batches": [1, "100%"], "soak": "0s"}) as yard:
        hosts = bed.inventory_hosts()
        yard.inventory(hosts={name: hosts[name] for name in ("web1", "web2")})
        yard.runbook(yard.step("First"), needs(yard, "Second", host="web1"))
        process = held(yard)
        other = yard.elsewhere()
        refused = answer(other, "again", "--yes")
        assert refused.code == 7, refused.out + refused.err
        process.kill()
        process.communicate()
        shutil.rmtree(yard.project.state)
        expire(yard)
        mend(yard, "web1")
        said = answer(other, "again", "--yes")
        assert said.code == 0, said.out + said.err
        names = ("First", "Second")
        assert yard.effects() == {f"{n}-{host}": 1 for n in names for host in ("web1", "web2")}


# --- who is there ----------------------------------------------------------------------------


def test_without_a_terminal_it_is_said_how_long_nobody_is_waited_for(yard: Yard) -> None:
    yard.runbook(yard.step("First"))
    said = yard.say("deploy", "--hold")
    assert (said.code, "nobody to ask" in said.out) == (3, True)
    assert yard.say("deploy", "--hold-for", "5m").code == 2
    assert yard.say("deploy", "--hold", "--hold-for", "5 moons").code == 2
    assert yard.say("hold", "--answer", "perhaps").code == 2
    assert yard.effects() == {}


@contextmanager
def asked_at_a_terminal(yard: Yard, *words: str) -> Iterator[Session]:
    """A deploy that has asked its question on a terminal."""
    typed = ["backout", "deploy", "--target", "prod", "--hold", *words]
    program = (
        f"os.chdir({str(yard.project.directory)!r})\nsys.argv = {typed!r}\n"
        "from backout.tasks import main\nmain()"
    )
    with on_a_terminal(program, 200, NO_COLOR="1", HOME=yard.project.env["HOME"]) as session:
        eventually(lambda: "again, done or back-out?" in session.screen.seen)
        yield session


def test_at_a_terminal_it_is_asked_there(yard: Yard) -> None:
    yard.runbook(yard.step("First"), needs(yard, "Second"))
    with asked_at_a_terminal(yard) as session:
        session.type("what?\n")
        mend(yard)
        session.type("again\n")
        assert session.end() == 0
    assert yard.effects() == {"First-here": 1, "Second-here": 1}


def test_ctrl_d_leaves_it_held_and_ctrl_c_backs_it_out(yard: Yard) -> None:
    yard.runbook(yard.step("First"), needs(yard, "Second"))
    with asked_at_a_terminal(yard) as session:
        session.type("\x04")
        assert session.end() == 8
    assert yard.effects() == {"First-here": 1}
    assert "is held" in yard.say("hold").out or yard.say("hold").data["held"]
    left = answer(yard, "again")
    assert (left.code, "is held" in left.out) == (8, True), "it failed again, and is asked again"
    assert yard.say("abort").code == 4
    with asked_at_a_terminal(yard) as session:
        os.kill(session.process.pid, signal.SIGINT)
        assert session.end() == 4
    assert yard.effects() == {}


def test_people_are_told_once_that_it_is_held(yard: Yard) -> None:
    told = Web(lambda _: Reply("{}"))
    with told:
        yard.inventory(notify={"deploys": [f"json://127.0.0.1:{told.port}/"]})
        yard.runbook(yard.step("First"), needs(yard, "Second"))
        killed(yard)
        mend(yard)
        assert answer(yard, "again").code == 0
        keys = [json.loads(each.body)["dedupe_key"].split("-", 3)[3] for each in told.asked]
    assert keys.count("held-1") == 1
    assert keys[-1] == "deployed"


# --- at any record -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "answer", "verb"), [(20, "again", "abort"), (25, "done", "hold")]
)
def test_killed_while_it_holds_it_ends_all_done_or_all_undone(
    tmp_path: Path, number: int, answer: str, verb: str
) -> None:
    """`bench/holding.py` has every moment."""
    hit, world = Held(tmp_path / "held").killed_holding(number, answer, verb)
    assert (hit, world) in ((True, "done"), (True, "undone"))


@pytest.mark.parametrize("number", range(11, 26, 2))
def test_killed_at_any_record_it_ends_all_done_or_all_undone(yard: Yard, number: int) -> None:
    """Of a hold, and of what comes of its answers: they were given while nobody was there."""
    step = needs(yard, "Second", check=f"test -e {yard.place('Second')}")
    yard.runbook(yard.step("First"), step, yard.step("Third"))
    killed(yard)
    answers = ["done", "again"][number % 4 // 2]
    mend(yard)
    code, out, err = burnt(number, yard.project, "hold", "--answer", answers)
    assert code in (0, 8, -signal.SIGKILL), out + err
    said = yard.say(["resume", "abort"][number % 8 // 4]) if code else yard.say("status")
    if said.code == 8:  # it is still asked, and nobody is there
        said = answer(yard, "again")
    whole = {f"{name}-here": 1 for name in ("First", "Second", "Third")}
    assert yard.effects() == ({} if said.code == 4 else whole), said.out + said.err
