"""A run that is held: what is told meanwhile, how somebody at its own terminal answers or leaves,
and what the next process makes of an answer that nobody has acted upon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from backout.errors import Interrupted
from backout.model import Event, Result, Runbook, State, Step
from backout.ports import ANSWERED, HELD, Said
from backout.runs.holding import PAUSE, TELL
from backout.runs.holds import Holds, Question
from support.clock import ManualClock
from support.mortal import Killed
from support.ways import FAILED, FORWARD, HERE, Begin, on, say, told
from support.work import Person
from support.world import HOSTS, Deployer, runbook, step, target

HOLD = 600.0
ANSWER = "invoke hold {} --host web1 --answer again|done|back-out"
ONCE_MORE = ["Good", "Bad", "Bad", "Restart"]


class AtTheTerminal(Person):
    """Somebody who types what was prepared; None is to leave."""

    present = True

    def __init__(self, *lines: str | None) -> None:
        super().__init__(True)
        self.lines = list(lines)
        self.mends: Callable[[], object] = lambda: None
        """What they do before they answer."""

    def line(self, question: str, over: Callable[[], bool]) -> str | None:
        self.asked.append(question)
        self.mends()
        return "" if over() else self.lines.pop(0)


class UntilAnswered(list[Event]):
    """What a process tells that is killed as soon as an answer is on record."""

    def append(self, event: Event) -> None:
        super().append(event)
        if ", says " in event.text:
            raise Killed


def held(begin: Begin, *lines: str | None, **world: Any) -> Deployer:
    """A run whose step `Bad` fails on web1, once, and somebody who types these lines, if any."""
    deployer = begin(**{"refuses": {"Bad web1"}, **world})
    deployer.world.then["Bad web1"] = deployer.world.refuses.clear
    deployer.keys["hold"] = HOLD
    deployer.seams["me"] = "ann@laptop"
    deployer.person = AtTheTerminal(*lines) if lines else Person()
    return deployer


def answered(deployer: Deployer, answer: str) -> None:
    """Whatever is asked is answered so, on another machine."""

    def said() -> Sequence[Said]:
        return [Said(each.key, each.asked, answer, "bob@desk") for each in questions(deployer)]

    deployer.seams["said"] = said


def questions(deployer: Deployer) -> tuple[Question, ...]:
    return Holds.of(deployer.journal.recall(deployer.run)).open


def given(deployer: Deployer) -> list[tuple[str, ...]]:
    """The answers on record: to what, where, which, and by whom."""
    records = deployer.journal.recall(deployer.run)
    bodies = (each.body for each in records if each.kind == ANSWERED)
    return [(body["step"], body["host"], body["answer"], body["by"]) for body in bodies]


def checked(deployer: Deployer) -> None:
    """`Bad` is checked, and done by hand as soon as it has failed."""
    mark = deployer.world.directory / "by hand"
    deployer.book = with_step(step("Bad", check=f"test -e '{mark}'"))
    deployer.world.then["Bad web1"] = mark.touch


def with_step(other: Step) -> Runbook:
    """The runbook with another step of that name."""
    book = runbook()
    steps = tuple(other if each.name == other.name else each for each in book.steps)
    return book.model_copy(update={"steps": steps})


# --- at its own terminal ---------------------------------------------------------------------


def test_what_is_no_answer_is_asked_again_and_again_tries_the_step_once_more(begin: Begin) -> None:
    deployer = held(begin, "what?", "Again")
    assert say(deployer).exit_code == 0
    assert deployer.person.asked == ["Bad on web1: again, done or back-out?"] * 2
    assert on(deployer, "web1") == ONCE_MORE
    assert on(deployer, "web2") == FORWARD
    assert "Bad on web1: again, says ann@laptop" in told(deployer, "note")


def test_back_out_is_understood_as_people_write_it(begin: Begin) -> None:
    deployer = held(begin, "back out")
    ended = say(deployer)
    assert (ended.exit_code, on(deployer, "web2")) == (4, [])
    assert ended.reason.endswith("ann@laptop answered: back out")


def test_who_leaves_is_told_what_to_type_and_the_question_stays(begin: Begin) -> None:
    deployer = held(begin, None)
    with pytest.raises(Interrupted) as left:
        deployer.say("deploy")
    assert left.value.what == f"run {deployer.run} is held: {FAILED.format('web1')}"
    assert left.value.state.startswith("its leases stand until it is answered; whoever resumes it")
    assert left.value.next == ANSWER.format(deployer.run)
    (question,) = questions(deployer)
    assert (question.step, question.host) == ("Bad", "web1")
    deployer.person = AtTheTerminal("again")
    assert say(deployer, "resume").exit_code == 0
    assert on(deployer, "web1") == ONCE_MORE


def test_who_takes_the_run_up_where_nobody_is_leaves_it_held_too(begin: Begin) -> None:
    deployer = held(begin, None)
    with pytest.raises(Interrupted):
        deployer.say("deploy")
    deployer.person = Person()
    deployer.seams["leaves"] = True
    with pytest.raises(Interrupted) as left:
        deployer.say("resume")
    assert left.value.next == ANSWER.format(deployer.run)


def test_who_wishes_to_stop_is_asked_nothing_and_it_goes_back(begin: Begin) -> None:
    deployer = held(begin, "again")
    deployer.world.then["Bad web1"] = lambda: deployer.stop("SIGINT")
    assert say(deployer).exit_code == 4
    assert deployer.person.asked == []
    assert Holds.of(deployer.journal.recall(deployer.run)).all == ()


def test_a_wish_to_stop_while_it_is_held_is_the_answer_of_whose_run_it_is(begin: Begin) -> None:
    deployer = held(begin, "again")
    deployer.person.mends = lambda: deployer.stop("SIGTERM")  # type: ignore[attr-defined]
    ended = say(deployer)
    assert (ended.exit_code, ended.reason) == (4, f"{FAILED.format('web1')}; SIGTERM")
    assert given(deployer) == [("Bad", "web1", "back-out", "ann@laptop")]


def test_nobody_is_asked_where_the_hosts_were_taken_away(begin: Begin) -> None:
    deployer = held(begin, "again")
    deployer.world.then["Bad web1"] = lambda: setattr(deployer.lease, "taken", "bob took web1")
    assert say(deployer).exit_code == 5
    assert deployer.person.asked == []


def test_who_is_asked_here_is_asked_no_more_when_somebody_answered_elsewhere(begin: Begin) -> None:
    deployer = held(begin, "nobody reads this")
    answers: list[Said] = []
    deployer.seams["said"] = lambda: answers

    def elsewhere() -> None:
        answers.extend(Said(q.key, q.asked, "again", "bob@desk") for q in questions(deployer))

    deployer.person.mends = elsewhere  # type: ignore[attr-defined]
    assert say(deployer).exit_code == 0
    assert deployer.person.asked == ["Bad on web1: again, done or back-out?"]
    assert "Bad on web1: again, says bob@desk" in told(deployer, "note")


def test_what_is_said_to_be_done_and_is_not_is_asked_anew_beside_what_is_open(
    begin: Begin,
) -> None:
    deployer = held(begin, "done", "done", "again")
    world = deployer.world
    world.refuses |= {"Bad web1", "Bad web2"}
    world.then.clear()
    deployer.book = with_step(step("Bad", check="test -e ~/done"))
    plain = target(deployer.run, 0)
    rollout = plain.rollout.model_copy(update={"batches": (2,)})
    deployer.keys["target"] = plain.model_copy(update={"rollout": rollout})
    does = iter((lambda: None, (world.directory / "web1" / "done").touch, world.refuses.clear))
    deployer.person.mends = lambda: next(does)()  # type: ignore[attr-defined]
    assert say(deployer).exit_code == 0
    asked = [f"Bad on {host}: again, done or back-out?" for host in ("web1", "web1", "web2")]
    assert deployer.person.asked == asked
    assert (on(deployer, "web1"), on(deployer, "web2")) == (FORWARD, ONCE_MORE)
    one, other = Holds.of(deployer.journal.recall(deployer.run)).all
    assert [(q.host, q.asked) for q in one.questions] == [("web1", 1), ("web2", 1)]
    assert [(q.host, q.asked) for q in other.questions] == [("web1", 2), ("web2", 1)]
    assert (one.number, other.number, other.until) == (1, 2, one.until)
    assert other.questions[0].why.startswith("Bad on web1 is not done: ")
    notes = told(deployer, "note")
    assert other.questions[0].why in notes
    assert [each.body["run"] for each in deployer.journal.recall(deployer.run) if each.kind == HELD]


def test_an_answer_counts_for_the_question_that_it_was_given_to_and_no_other(
    begin: Begin,
) -> None:
    deployer = held(begin)
    deployer.book = with_step(step("Bad", check="test -e ~/done"))
    first: list[Said] = []

    def said() -> Sequence[Said]:
        first.extend(Said(q.key, q.asked, "done", "bob@desk") for q in questions(deployer)[:1])
        return first[:1]

    deployer.seams["said"] = said
    ended = say(deployer)
    assert (ended.exit_code, on(deployer, "web1").count("Bad")) == (4, 1)
    assert "nobody answered until" in ended.reason


@pytest.mark.parametrize(("answer", "code"), [("again", 0), ("", 4)])
def test_who_takes_it_up_too_late_goes_back_unless_somebody_had_answered(
    begin: Begin, answer: str, code: int
) -> None:
    deployer = held(begin, None)
    with pytest.raises(Interrupted):
        deployer.say("deploy")
    deployer.person, deployer.told = Person(), []
    deployer.seams["clock"] = later = ManualClock()
    later.advance(2 * HOLD)
    if answer:
        answered(deployer, answer)
    ended = say(deployer, "resume")
    assert ended.exit_code == code
    assert ("nobody answered until" in ended.reason) is (code == 4)
    assert [text for text in told(deployer, "warning") if code and "held until" in text] == []


# --- what is told ----------------------------------------------------------------------------


def test_it_is_told_how_far_each_host_is_and_what_backing_out_leaves(begin: Begin) -> None:
    book = with_step(step("Ship", None, irreversible="the mail is sent"))
    deployer = held(begin, "again", book=book)
    assert say(deployer).exit_code == 0
    assert [text for text in told(deployer, "note") if " is a" in text or "leaves" in text] == [
        "web1 is at step Bad, not done",
        *(f"{host} is as before, on release 1" for host in HOSTS[1:]),
        "what backing out leaves: Ship: the mail is sent",
    ]


def test_the_last_lines_of_what_failed_are_told(begin: Begin) -> None:
    deployer = held(begin, "again")
    world, key = deployer.world, f"{deployer.run}/steps/2@web1"

    def fails() -> None:
        world.refuses.clear()
        world.notes[key] = Result(State.FAILED, 1, "1\n2\n3\n\n4\n5\n", "6\n")

    world.then["Bad web1"] = fails
    assert say(deployer).exit_code == 0
    assert [text for text in told(deployer, "note") if "|" in text][:-1] == [
        f"| {line}" for line in range(2, 7)
    ]


def test_it_is_told_again_and_again_until_nobody_has_answered_in_time(begin: Begin) -> None:
    deployer = held(begin)
    ended = say(deployer)
    assert ended.exit_code == 4
    assert "nobody answered until" in ended.reason
    warned = [text for text in told(deployer, "warning") if text.startswith("held until")]
    assert len(warned) == 1 + HOLD // (TELL + PAUSE)
    assert "Bad on web1: back-out, says nobody in time" in told(deployer, "note")
    assert given(deployer) == [("Bad", "web1", "back-out", "")]


# --- from elsewhere, and by whoever comes next -------------------------------------------------


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize(
    ("answer", "code", "did"),
    [
        ("again", 0, ["Good", "Bad", "Bad", "Restart"]),
        ("done", 0, ["Good", "Bad", "Restart"]),
        ("back-out", 4, ["Good", "Bad", "-Bad", "-Good", "Restart", "Restart"]),
    ],
)
def test_an_answer_is_acted_upon_also_where_who_took_it_has_died(
    begin: Begin, answer: str, code: int, did: list[str], dies: bool
) -> None:
    deployer = held(begin)
    if answer == "done":
        checked(deployer)
    answered(deployer, answer)
    verb = "deploy"
    if dies:
        deployer.told = UntilAnswered()
        assert deployer.say("deploy") is None
        verb, deployer.told = "resume", []
        del deployer.seams["said"]
    ended = say(deployer, verb)
    assert ended.exit_code == code, ended.reason
    assert on(deployer, "web1") == did
    if code:
        assert "bob@desk answered: back out" in ended.reason


@pytest.mark.parametrize(("mended", "code"), [(True, 0), (False, 4)])
def test_a_gate_of_which_somebody_says_that_it_is_done_is_asked_again_and_has_the_say(
    begin: Begin, mended: bool, code: int
) -> None:
    deployer = held(begin, "done", "back-out", refuses=set(), ill="web1")
    if mended:
        well = lambda: deployer.world.running.update(web1=["old"])  # noqa: E731
        deployer.person.mends = well  # type: ignore[attr-defined]
    assert say(deployer).exit_code == code
    asked = "Prove on this machine: again, done or back-out?"
    assert deployer.person.asked == [asked] * (1 if mended else 2)


def test_that_nobody_answered_is_acted_upon_where_who_noted_it_has_died(begin: Begin) -> None:
    deployer = held(begin)
    deployer.told = UntilAnswered()
    assert deployer.say("deploy") is None
    deployer.told = []
    ended = say(deployer, "resume")
    assert (ended.exit_code, on(deployer, "web1").count("Bad")) == (4, 1)
    assert ended.reason.endswith("nobody answered in time")


def test_a_proof_of_which_somebody_says_that_it_is_done_is_made_again(begin: Begin) -> None:
    deployer = held(begin, refuses=set(), ill=HERE)
    deployer.person = somebody = AtTheTerminal("done")
    somebody.mends = lambda: setattr(deployer.world, "ill", "")
    assert say(deployer).exit_code == 0
    assert on(deployer, HERE) == ["Ship", "Switch"]
    assert somebody.asked == ["Final proof on this machine: again, done or back-out?"]
