"""The saga: whatever happens when, each effect is there once or not at all.

The journal is the real one. The machine lives in memory and keeps notes as a real one does: it
knows what ended, goes on with what was running when its deployer died, and loses a note at times.
"""

# ruff: noqa: ARG002 - the seams give their methods a form

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backout.adapters.storage.journal import SqliteJournal
from backout.errors import BackoutError, Interrupted, Refused, Unreachable
from backout.model import NoOptions, Options, Release, Result, Retry, State, Step, Target, Undo
from backout.ports import StepContext
from backout.runs.plan import Action
from backout.runs.saga import ATTEMPTS, Saga, note_key
from support.clock import ManualClock

DONE, FAILED, UNKNOWN = Result(State.DONE, 0), Result(State.FAILED, 1), Result(State.UNKNOWN)
names = itertools.count()


class Crash(BaseException):
    """The deployer is killed here."""


class Fate:
    """Kills the deployer at the boundaries it was told, and counts them."""

    def __init__(self, *at: int) -> None:
        self.at = set(at)
        self.passed = 0

    def boundary(self) -> None:
        self.passed += 1
        if self.passed in self.at:
            raise Crash


@dataclass
class Machine:
    """Effects, residue of failed attempts, and a note of every command."""

    fate: Fate = field(default_factory=Fate)
    effects: Counter[str] = field(default_factory=Counter)
    residue: set[str] = field(default_factory=set)
    notes: dict[str, Result | None] = field(default_factory=dict)
    """Result by note key; None while it runs. A key that is missing never began."""
    lost: set[str] = field(default_factory=set)
    """Steps whose notes this machine loses."""
    acted: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    waited: float = 0
    """How long the last question would have waited."""
    running: dict[str, Any] = field(default_factory=dict)

    def run(self, key: str, step: str, end: Result, effect: Any) -> Result:
        """A command under a note: killed anywhere, it ends all the same."""
        if any(key.partition("#")[0] == other.partition("#")[0] for other in self.running):
            self.violations.append(f"{key} ran beside itself")
        if key in self.notes:
            self.violations.append(f"{key} ran twice under one note")
        self.fate.boundary()
        self.acted.append(key)
        self.notes[key] = None
        self.running[key] = lambda: (effect(), self.notes.update({key: end}))
        self.fate.boundary()
        self.finish(key)
        self.fate.boundary()
        return UNKNOWN if step in self.lost else end

    def finish(self, key: str) -> None:
        for running in [other for other in self.running if other == key]:
            self.running.pop(running)()

    def began(self, key: str) -> bool:
        return key in self.notes

    def recall(self, key: str, wait: float) -> Result | None:
        """A `Transport.recall`: waits for what still runs."""
        self.finish(key)
        self.waited = wait
        step = key.rpartition("/")[2].partition("#")[0]
        if key in self.notes and step in self.lost and "undo" not in key:
            return UNKNOWN
        return self.notes.get(key)


class Doing:
    """A kind whose steps count up on a machine; `ends` says how each attempt of a step ends."""

    Options: ClassVar[type[Options]] = NoOptions
    changes: ClassVar[bool] = True
    undoes: ClassVar[bool] = True
    reaches: ClassVar[bool] = True
    shell: ClassVar[bool] = False
    brings: ClassVar[bool] = False
    acts_here: ClassVar[bool] = False
    publishes: ClassVar[bool] = False

    def ready(self, work: StepContext, *, made: bool) -> None: ...
    def asks(self, options: Any) -> bool:
        return False

    def settles_first(self, options: Any) -> bool:
        return False

    def __init__(
        self, machine: Machine, ends: Mapping[str, Sequence[Result]] | None = None
    ) -> None:
        self.machine = machine
        self.ends = {name: list(results) for name, results in (ends or {}).items()}

    def describe(self, work: StepContext) -> str:
        return work.step.name

    def reads(self, work: StepContext) -> Sequence[str]:
        return ()

    def before(self, work: StepContext) -> Undo:
        name = work.step.name
        return Undo(f"take {name} back", {"step": name}, summary=f"without {name}")

    def act(self, work: StepContext) -> Result:
        name, machine = work.step.name, self.machine
        planned = self.ends.get(name) or [DONE]
        end = planned.pop(0) if len(planned) > 1 else planned[0]

        def effect() -> None:
            if not end.ok:
                machine.residue.add(name)
            elif work.step.retry_safe:
                machine.effects[name] = 1
            else:
                machine.effects[name] += 1

        return machine.run(work.key, name, end, effect)

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        assert undo.data == {"step": work.step.name}, "the undo comes back from the journal"
        return self.machine.recall(work.key, work.step.timeout)

    def done(self, work: StepContext) -> bool | None:
        return self.machine.effects[work.step.name] > 0 if work.step.check else None

    def unready(self, work: StepContext, undo: Undo) -> str:
        return ""

    def undo(self, work: StepContext, undo: Undo) -> Result:
        name = undo.data["step"]

        def effect() -> None:
            self.machine.effects.pop(name, None)
            self.machine.residue.discard(name)

        return self.machine.run(work.key, name, DONE, effect)


class Looking(Doing):
    """A kind that only reads, and leaves no note."""

    changes = False

    def act(self, work: StepContext) -> Result:
        self.machine.acted.append(work.key)
        self.machine.fate.boundary()
        return DONE

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        return None


class Mortal:
    """A journal around whose every record the deployer may be killed."""

    def __init__(self, journal: SqliteJournal, fate: Fate) -> None:
        self.journal = journal
        self.fate = fate

    def begin(self, run: str, key: str, record: Mapping[str, Any]) -> None:
        self.fate.boundary()
        self.journal.begin(run, key, record)
        self.fate.boundary()

    def end(self, run: str, key: str, record: Mapping[str, Any]) -> None:
        self.fate.boundary()
        self.journal.end(run, key, record)
        self.fate.boundary()

    def note(self, run: str, kind: str, record: Mapping[str, Any]) -> None:
        self.fate.boundary()
        self.journal.note(run, kind, record)
        self.fate.boundary()

    def recall(self, run: str) -> Any:
        return self.journal.recall(run)


@dataclass
class Bench:
    """One run in the journal, and the machine that it acts on."""

    journal: SqliteJournal
    machine: Machine = field(default_factory=Machine)
    clock: ManualClock = field(default_factory=ManualClock)
    run: str = field(default_factory=lambda: f"r{next(names)}")
    ends: dict[str, Sequence[Result]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now = self.clock.now()
        self.journal.open_run(self.run, self.run, "run", "x", {}, "ann@laptop", now, {})
        self.kind = Doing(self.machine, self.ends)

    def saga(self, *crashes: int) -> Saga:
        """A process that goes on with the run, and is killed at these boundaries."""
        self.machine.fate = Fate(*crashes)
        return Saga(self.run, cast("Any", Mortal(self.journal, self.machine.fate)), self.clock)

    def perform(self, saga: Saga, step: Step, *, kind: Any = None, **how: bool) -> Result:
        act = action(step)
        return saga.perform(act, kind or self.kind, self.work(act), **how)

    def again(self, saga: Saga, step: Step) -> Result:
        act = action(step)
        return saga.perform(act, self.kind, self.work(act), again=True)

    def gated(self, saga: Saga, step: Step, gate: Callable[[], str]) -> Result:
        act = action(step)
        return saga.perform(act, self.kind, replace(self.work(act), gate=gate))

    def by_hand(self, saga: Saga, step: Step) -> str:
        act = action(step)
        return saga.by_hand(act, self.kind, self.work(act), "ann")

    def take_back(self, saga: Saga, step: Step) -> Result:
        act = action(step)
        back = replace(act, key=f"undo/{act.key}", phase="undo")
        return saga.take_back(back, self.kind, self.work(back), saga.entry(act.key))

    def work(self, action: Action) -> StepContext:
        nothing = cast("Any", None)
        return StepContext(
            step=action.step,
            options=nothing,
            key=note_key(self.run, action.key),
            target=Target(name="prod"),
            run=self.run,
            release=Release(1),
            previous=None,
            host=None,
            transport=cast("Any", self.machine),
            here=cast("Any", self.machine),
            restarter=nothing,
            vault=nothing,
            clock=self.clock,
            operator=nothing,
            verify=nothing,
            say=nothing,
            render=str,
        )

    def kinds_of_record(self) -> list[str]:
        return [record.kind for record in self.journal.recall(self.run)]


def action(step: Step) -> Action:
    return Action(f"steps/{step.name}", step)


def step(name: str = "a", **keys: Any) -> Step:
    return Step(name=name, kind="do", options=None, **keys)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteJournal]:
    with SqliteJournal(tmp_path_factory.mktemp("saga") / "journal.db", str) as journal:
        yield journal


@pytest.fixture
def bench(journal: SqliteJournal) -> Bench:
    return Bench(journal)


def killed(bench: Bench, at: int, step: Step, kind: Any = None) -> None:
    """Perform the step and be killed at that boundary."""
    with pytest.raises(Crash):
        bench.perform(bench.saga(at), step, kind=kind)


BEGUN, RUNNING, ENDED, ANSWERED, RECORDED = 2, 4, 5, 6, 7
"""Boundaries of one action: its intent is durable; its command runs; the command ended; its
outcome is being written; its outcome is durable."""


# --- one outcome ---------------------------------------------------------------------------


def theirs() -> str:
    return "the lease is another's"


def test_what_hosts_refuse_to_have_on_record_does_not_begin(bench: Bench) -> None:
    act = action(step())
    work = replace(bench.work(act), refused=theirs)
    assert bench.saga().perform(act, bench.kind, work) == Result(State.FAILED, reason=theirs())
    assert bench.machine.acted == []


def test_nor_is_anything_taken_back_then(bench: Bench) -> None:
    saga, act = bench.saga(), action(step())
    assert bench.perform(saga, act.step).ok
    back = replace(act, key=f"undo/{act.key}", phase="undo")
    work = replace(bench.work(back), refused=theirs)
    said = saga.take_back(back, bench.kind, work, saga.entry(act.key))
    assert said == Result(State.FAILED, reason=theirs())
    assert bench.machine.acted == [f"{bench.run}/steps/a"]


def test_an_outcome_on_record_is_given_back_and_nothing_acts_again(bench: Bench) -> None:
    first = bench.perform(bench.saga(), step())
    again = bench.perform(bench.saga(), step())
    assert first.ok
    assert again.state is State.DONE
    assert bench.machine.acted == [f"{bench.run}/steps/a"]


def test_an_outcome_on_record_is_given_back_whole(bench: Bench) -> None:
    class Telling(Doing):
        def act(self, work: StepContext) -> Result:
            work.clock.sleep(1.50049)
            return Result(State.FAILED, 3, "out", "err", "no room", saved={"port": "80"})

    kind = Telling(bench.machine)
    bench.clock.advance(100)
    first = bench.perform(bench.saga(), step(), kind=kind)
    assert (first.exit_code, first.reason, first.seconds) == (3, "no room", 1.5)
    assert bench.perform(bench.saga(), step(), kind=kind) == first


def test_every_attempt_may_have_left_its_notes_and_those_of_its_parts(bench: Bench) -> None:
    class Parted(Doing):
        def before(self, work: StepContext) -> Undo:
            return Undo(text="", data={"step": work.step.name, "parts": ["image"]})

    saga, note = bench.saga(), f"{bench.run}/steps/a"
    assert saga.keys() == ()
    for _ in range(2):
        bench.perform(saga, step(), anew=True, kind=Parted(bench.machine))
    known = (note, f"{note}~image", f"{note}#2", f"{note}#2~image")
    assert saga.keys() == bench.saga().keys() == known


def test_what_has_begun_and_has_no_end_is_told_by_step_and_machine(bench: Bench) -> None:
    bench.perform(bench.saga(), step("well"))
    for host in ("web1", ""):
        act = Action(f"steps/a@{host}", step(), host)
        with pytest.raises(Crash):
            bench.saga(BEGUN).perform(act, bench.kind, bench.work(act))
    assert bench.saga().under_way() == ("a on web1", "a on this machine")


def test_what_may_still_be_at_work_is_found_by_the_beginning_of_its_name(bench: Bench) -> None:
    bench.perform(bench.saga(), step("well"))
    for name in ("web", "db"):
        killed(bench, RUNNING, step(name))
    assert [entry.key for entry in bench.saga().unseen("steps/w")] == ["steps/web"]


def test_traffic_was_moved_by_another_action_at_the_very_same_place(bench: Bench) -> None:
    def moving(key: str, host: str = "web1", balancer: str = "front", at: str = "edge1") -> Action:
        return Action(key, step("drain"), host, balancer=balancer, at=at)

    drain = moving("drain")
    bench.saga().perform(drain, bench.kind, bench.work(drain))
    saga = bench.saga()
    assert not saga.moved(drain)
    assert saga.moved(moving("join"))
    for elsewhere in ({"host": "web2"}, {"balancer": "back"}, {"at": "edge2"}):
        assert not saga.moved(moving("join", **elsewhere))


def test_the_undo_is_durable_before_the_step_acts(bench: Bench) -> None:
    killed(bench, BEGUN, step())
    (record,) = bench.journal.recall(bench.run)
    assert bench.machine.acted == []
    assert (record.kind, record.body["undo"]["text"]) == ("begin", "take a back")


def test_an_intent_says_what_begins_where_and_how_it_is_taken_back(bench: Bench) -> None:
    """By its kind it is known what acts from this machine, and has to be on the hosts before."""
    act = Action("steps/a", step(), "web1", phase="settle")
    bench.saga().perform(act, bench.kind, bench.work(act))
    begun, ended = (record.body for record in bench.journal.recall(bench.run))
    about = {"step": "a", "kind": "do", "host": "web1", "phase": "settle"}
    undo = {
        "text": "take a back",
        "data": {"step": "a"},
        "irreversible": "",
        "summary": "without a",
    }
    assert begun == {**about, "attempt": 1, "run": bench.run, "undo": undo}
    assert {key: ended[key] for key in about} == about


def test_a_failure_is_an_outcome_too_and_is_not_tried_again(bench: Bench) -> None:
    bench.kind = Doing(bench.machine, {"a": [FAILED, DONE]})
    assert bench.perform(bench.saga(), step()).state is State.FAILED
    assert bench.perform(bench.saga(), step()).state is State.FAILED
    assert len(bench.machine.acted) == 1


def test_what_could_not_begin_once_more_does_not_hide_what_is_on_record(bench: Bench) -> None:
    bench.kind = Doing(bench.machine, {"a": [FAILED]})
    saga, act = bench.saga(), action(step())
    first, away = bench.perform(saga, step()), Result(State.UNREACHABLE, reason="away")
    assert saga.settle(act, away) == first
    assert bench.kinds_of_record() == ["begin", "end"]
    assert saga.settle(act, FAILED, again=True).state is State.FAILED
    told = saga.settle(act, away, again=True)
    assert (told.state, told.reason) == (State.UNKNOWN, "away"), "it has begun once"
    assert saga.entry(act.key).touched


def test_what_is_forbidden_at_this_moment_has_no_intent_and_leaves_nothing(bench: Bench) -> None:
    result = bench.gated(bench.saga(), step(), lambda: "the backup is old")
    assert (result.state, result.reason) == (State.FAILED, "the backup is old")
    assert bench.machine.acted == []
    assert bench.kinds_of_record() == ["end"]
    assert not bench.saga().entry("steps/a").touched


def test_each_further_attempt_is_asked_for_anew(bench: Bench) -> None:
    bench.kind = Doing(bench.machine, {"a": [FAILED, DONE]})
    asked = iter(["", "the backup is old", ""])
    patient = step(retry=Retry.model_validate({"for": "1m", "every": "1s"}))
    assert bench.gated(bench.saga(), patient, lambda: next(asked)).ok
    assert len(bench.machine.acted) == 2
    assert next(asked, "all asked") == "all asked"


def test_what_was_interrupted_is_not_run_again_when_it_is_forbidden_by_now(bench: Bench) -> None:
    patient = step(retry_safe=True)
    killed(bench, BEGUN, patient)
    bench.machine.lost.add("a")
    result = bench.gated(bench.saga(), patient, lambda: "the backup is old")
    assert result.state is State.UNKNOWN
    assert result.reason == (
        "interrupted, and its outcome is not known; not tried again: the backup is old"
    )
    assert bench.machine.acted == []


@pytest.mark.parametrize("state", [State.FAILED, State.SKIPPED, State.UNREACHABLE])
def test_what_may_still_run_is_never_told_as_ended_without_being_asked(
    bench: Bench, state: State
) -> None:
    killed(bench, RUNNING, step())
    saga = bench.saga()
    assert saga.settle(action(step()), Result(state, reason="no")).state is State.UNKNOWN
    assert bench.saga().entry("steps/a").unseen


class Seeing(Doing):
    """A kind whose way back is what it sees before it acts."""

    had: Undo | None = None

    def before(self, work: StepContext) -> Undo:
        here = sorted(self.machine.residue)
        return Undo(text=f"back to {here}", data={"step": work.step.name})

    def act(self, work: StepContext) -> Result:
        self.had = work.resolved
        return super().act(work)


def test_what_acts_has_the_way_back_that_is_on_record(bench: Bench) -> None:
    """What it moves, and what its undo moves back, are one and the same."""
    kind = Seeing(bench.machine)
    bench.machine.residue.add("before")
    for again in range(2):
        bench.perform(bench.saga(), step(), kind=kind, anew=bool(again))
        assert kind.had == bench.saga().entry("steps/a").undo
        assert kind.had.text == ("back to ['after']" if again else "back to ['before']")
        bench.machine.residue = {"after"}


def test_what_could_not_begin_is_tried_once_more_with_the_way_back_that_there_is_now(
    bench: Bench,
) -> None:
    kind, saga = Seeing(bench.machine), bench.saga()
    saga.settle(action(step()), Result(State.UNREACHABLE, reason="away"))
    bench.machine.residue.add("before")
    assert bench.perform(saga, step(), kind=kind, again=True).ok
    assert bench.saga().entry("steps/a").undo.text == "back to ['before']"
    bench.take_back(saga, step())
    assert +bench.machine.effects == Counter()


def test_a_step_that_is_tried_once_more_keeps_the_way_back_that_it_had(bench: Bench) -> None:
    bench.kind = Seeing(bench.machine, {"a": [FAILED, DONE]})
    saga = bench.saga()
    assert bench.perform(saga, step()).state is State.FAILED
    assert bench.again(saga, step()).ok
    assert (saga.entry("steps/a").undo.text, saga.entry("steps/a").attempt) == ("back to []", 2)
    bench.take_back(saga, step())
    assert (+bench.machine.effects, bench.machine.residue) == (Counter(), set())


def test_what_is_tried_once_more_asks_its_check_first(bench: Bench) -> None:
    class Asked(Doing):
        says: BackoutError | None = None

        def done(self, work: StepContext) -> bool | None:
            if self.says:
                raise self.says
            return super().done(work)

    bench.kind = asked = Asked(bench.machine, {"a": [FAILED]})
    checked = step(check="true")
    bench.perform(bench.saga(), checked)
    bench.machine.effects["a"] = 1
    told = bench.again(bench.saga(), checked)
    assert (told.state, told.reason) == (State.DONE, "its check says that it is done")
    for says, state in ((Unreachable("away"), State.UNKNOWN), (Refused("no"), State.FAILED)):
        asked.says = says
        told = bench.again(bench.saga(), checked)
        assert (told.state, told.reason) == (state, says.what)
    assert len(bench.machine.acted) == 1


def test_a_failure_is_tried_once_more_although_the_last_that_it_did_went_well(bench: Bench) -> None:
    class Ends(Doing):
        def recall(self, work: StepContext, undo: Undo) -> Result | None:
            return DONE

    bench.kind = Ends(bench.machine, {"a": [FAILED, DONE]})
    assert bench.perform(bench.saga(), step()).state is State.FAILED
    assert bench.again(bench.saga(), step()).ok
    assert bench.machine.effects["a"] == 1


def test_what_may_still_run_is_awaited_before_it_is_tried_once_more(bench: Bench) -> None:
    bench.machine.lost.add("a")
    saga = bench.saga()
    assert bench.perform(saga, step()).state is State.UNKNOWN
    bench.machine.lost.clear()
    assert bench.again(saga, step()).ok
    assert (bench.machine.effects["a"], len(bench.machine.acted)) == (1, 1)
    assert bench.machine.violations == []


def test_done_by_hand_is_held_against_the_check_and_can_be_undone(bench: Bench) -> None:
    class Mute(Doing):
        def done(self, work: StepContext) -> bool | None:
            return None

    bench.kind = Doing(bench.machine, {"a": [FAILED]})
    saga, checked = bench.saga(), step(check="true")
    bench.perform(saga, checked)
    assert bench.by_hand(saga, checked) == "its check says that it is not"
    assert not saga.entry("steps/a").done
    well, bench.kind = bench.kind, Mute(bench.machine)
    assert bench.by_hand(saga, checked) == "its check cannot tell"
    bench.kind = well
    bench.machine.effects["a"] = 1
    assert bench.by_hand(saga, checked) == ""
    assert bench.saga().entry("steps/a").done
    known = bench.saga().entry("steps/a").result
    assert known
    assert known.reason == "done by hand, says ann, and it is so"
    bench.take_back(saga, checked)
    assert +bench.machine.effects == Counter()


def test_done_by_hand_keeps_the_way_back_that_is_on_record_and_looks_for_no_other(
    bench: Bench,
) -> None:
    class Once(Doing):
        def before(self, work: StepContext) -> Undo:
            if self.machine.acted:
                raise Refused("what was there before is gone")
            return super().before(work)

    bench.kind = Once(bench.machine, {"a": [FAILED]})
    saga, checked = bench.saga(), step(check="true")
    bench.perform(saga, checked)
    bench.machine.effects["a"] = 1
    assert bench.by_hand(saga, checked) == ""
    assert saga.entry("steps/a").undo.text == "take a back"


def test_what_never_began_and_has_nothing_to_undo_is_done_by_hand_as_a_first_attempt(
    bench: Bench,
) -> None:
    class Onward(Doing):
        undoes = False

    bench.kind = Onward(bench.machine)
    saga, checked = bench.saga(), step(check="true")
    bench.machine.effects["a"] = 1
    assert bench.by_hand(saga, checked) == ""
    assert (saga.entry("steps/a").attempt, saga.keys()) == (1, (f"{bench.run}/steps/a",))


@pytest.mark.parametrize("attempts", [1, 2])
def test_what_the_note_of_the_last_attempt_says_is_enough_for_what_is_done_by_hand(
    bench: Bench, attempts: int
) -> None:
    bench.kind = Doing(bench.machine, {"a": [*[FAILED] * (attempts - 1), DONE]})
    patient = step(retry=Retry(**{"for": 5, "every": 2}))
    killed(bench, ENDED * attempts, patient)
    assert bench.by_hand(bench.saga(), patient) == ""
    assert bench.saga().entry("steps/a").done


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({}, "it has no `check`, and nothing else there says that it is done"),
        (
            {"save": {"x": "stdout"}},
            "what it makes is used by later steps, and only the step itself can tell them",
        ),
    ],
    ids=["without a check", "with something to save"],
)
def test_what_nothing_can_agree_with_is_not_done_by_hand(
    bench: Bench, keys: dict[str, Any], why: str
) -> None:
    bench.kind = Doing(bench.machine, {"a": [FAILED]})
    saga = bench.saga()
    bench.perform(saga, step(**keys))
    assert bench.by_hand(saga, step(**keys)) == why
    assert not saga.entry("steps/a").done


def test_what_never_began_has_no_way_back_that_a_person_could_have_kept(bench: Bench) -> None:
    saga, act = bench.saga(), action(step(check="true"))
    saga.settle(act, Result(State.UNREACHABLE, reason="away"))
    bench.machine.effects["a"] = 1
    why = "it never began, so its way back is not known"
    assert bench.by_hand(saga, step(check="true")) == why


def test_what_is_done_already_is_skipped_and_leaves_nothing_to_undo(bench: Bench) -> None:
    bench.machine.effects["a"] = 1
    saga = bench.saga()
    told = bench.perform(saga, step(check="true"))
    assert (told.state, told.reason) == (State.SKIPPED, "already done")
    assert not saga.entry("steps/a").touched
    assert bench.kinds_of_record() == ["end"]


def test_a_machine_that_cannot_be_asked_for_the_way_back_is_not_changed(bench: Bench) -> None:
    class Away(Doing):
        def before(self, work: StepContext) -> Undo:
            raise Unreachable("web1 is away")

    result = bench.perform(bench.saga(), step(), kind=Away(bench.machine))
    assert (result.state, result.reason) == (State.UNREACHABLE, "web1 is away")
    assert bench.machine.acted == []


def test_a_way_back_that_cannot_be_known_is_a_failure_before_any_change(bench: Bench) -> None:
    class Lost(Doing):
        def before(self, work: StepContext) -> Undo:
            raise Refused("no such branch")

    saga = bench.saga()
    result = bench.perform(saga, step(), kind=Lost(bench.machine))
    assert (result.state, result.reason) == (State.FAILED, "no such branch")
    assert not saga.entry("steps/a").touched


# --- interrupted ---------------------------------------------------------------------------


def test_an_intent_without_a_note_never_began_and_is_done_now(bench: Bench) -> None:
    killed(bench, BEGUN, step())
    assert bench.perform(bench.saga(), step()).ok
    assert bench.machine.effects["a"] == 1


@pytest.mark.parametrize("at", [RUNNING, ENDED, ANSWERED])
def test_what_ran_on_without_its_deployer_is_found_done(bench: Bench, at: int) -> None:
    killed(bench, at, step())
    assert bench.perform(bench.saga(), step()).ok
    assert bench.machine.effects["a"] == 1
    assert bench.machine.violations == []


def test_an_interrupted_failure_is_found_out_and_not_called_unknown(bench: Bench) -> None:
    bench.kind = Doing(bench.machine, {"a": [FAILED]})
    killed(bench, ANSWERED, step())
    assert bench.perform(bench.saga(), step()).state is State.FAILED
    assert len(bench.machine.acted) == 1


def test_an_unknown_outcome_is_not_guessed(bench: Bench) -> None:
    bench.machine.lost.add("a")
    result = bench.perform(bench.saga(), step())
    assert result.state is State.UNKNOWN
    assert len(bench.machine.acted) == 1


def test_what_a_machine_says_of_an_unknown_outcome_is_told(bench: Bench) -> None:
    class Torn(Doing):
        def recall(self, work: StepContext, undo: Undo) -> Result | None:
            return Result(State.UNKNOWN, reason="its note is torn")

    bench.machine.lost.add("a")
    told = bench.perform(bench.saga(), step(), kind=Torn(bench.machine))
    assert (told.state, told.reason) == (State.UNKNOWN, "its note is torn")


def test_an_unknown_outcome_is_done_when_its_check_says_so(bench: Bench) -> None:
    class Late(Doing):
        def done(self, work: StepContext) -> bool | None:
            return bool(self.machine.acted)

    bench.machine.lost.add("a")
    result = bench.perform(bench.saga(), step(check="true"), kind=Late(bench.machine))
    assert (result.state, result.reason) == (State.DONE, "its check says that it is done")
    assert len(bench.machine.acted) == 1


def test_an_unknown_outcome_that_its_check_denies_is_run_again(bench: Bench) -> None:
    bench.machine.lost.add("a")
    bench.kind = Doing(bench.machine, {"a": [FAILED]})
    result = bench.perform(bench.saga(), step(check="true"))
    assert result.state is State.UNKNOWN
    note = f"{bench.run}/steps/a"
    tries = [note, *(f"{note}#{n}" for n in range(2, ATTEMPTS + 1))]
    assert bench.machine.acted == tries, "the check said each time that it is not done"


@pytest.mark.parametrize("harmless", ["retry_safe", "readonly"])
def test_an_unknown_outcome_of_a_harmless_step_is_run_again(bench: Bench, harmless: str) -> None:
    bench.machine.lost.add("a")
    keys: dict[str, Any] = {harmless: True}
    bench.perform(bench.saga(), step(**keys))
    assert len(bench.machine.acted) == ATTEMPTS


def test_a_check_that_cannot_tell_is_no_leave_to_run_again(bench: Bench) -> None:
    class Silent(Doing):
        def done(self, work: StepContext) -> bool | None:
            return None

    bench.machine.lost.add("a")
    assert bench.perform(bench.saga(), step(check="x"), kind=Silent(bench.machine)).state is (
        State.UNKNOWN
    )
    assert len(bench.machine.acted) == 1


def test_a_machine_that_is_away_when_it_is_asked_leaves_the_outcome_unknown(bench: Bench) -> None:
    class Gone(Doing):
        def recall(self, work: StepContext, undo: Undo) -> Result | None:
            raise Unreachable("web1 is away")

    killed(bench, RUNNING, step())
    result = bench.perform(bench.saga(), step(), kind=Gone(bench.machine))
    assert result.state is State.UNKNOWN
    assert "web1 is away" in result.reason


def test_a_machine_that_goes_away_in_the_middle_of_an_act_leaves_what_began_there(
    bench: Bench,
) -> None:
    class Away(Doing):
        """Its machine is away, from its own first command on or from the look after it."""

        def act(self, work: StepContext) -> Result:
            if work.step.name == "b":
                super().act(work)
            raise Unreachable("web1 is away")

        def recall(self, work: StepContext, undo: Undo) -> Result | None:
            raise Unreachable("web1 is away")

    kind = Away(bench.machine)
    told = bench.perform(bench.saga(), step("a"), kind=kind)
    assert (told.state, told.reason) == (State.UNREACHABLE, "web1 is away")
    assert bench.perform(bench.saga(), step("b"), kind=kind).state is State.UNKNOWN
    touched = {name: bench.saga().entry(f"steps/{name}").touched for name in "ab"}
    assert touched == {"a": False, "b": True}
    assert bench.take_back(bench.saga(), step("b")).ok
    assert not bench.machine.effects["b"]


def test_looking_may_be_interrupted_any_number_of_times(bench: Bench) -> None:
    kind = Looking(bench.machine)
    for _ in range(ATTEMPTS + 1):
        killed(bench, 3, step(), kind=kind)
    assert bench.perform(bench.saga(), step(), kind=kind).ok


def test_what_never_began_may_be_interrupted_any_number_of_times(bench: Bench) -> None:
    for _ in range(ATTEMPTS + 1):
        killed(bench, BEGUN, step())
    assert bench.perform(bench.saga(), step()).ok
    assert bench.machine.effects["a"] == 1


# --- again and again -----------------------------------------------------------------------


def test_a_retry_goes_on_until_it_succeeds(bench: Bench) -> None:
    bench.kind = Doing(bench.machine, {"a": [FAILED, FAILED, DONE]})
    assert bench.perform(bench.saga(), step(retry=Retry(**{"for": 10, "every": 2}))).ok
    assert bench.clock.slept == [2, 2]
    assert bench.machine.effects["a"] == 1


@pytest.mark.parametrize("lasts", [4, 5])
def test_a_retry_ends_with_its_time(bench: Bench, lasts: int) -> None:
    bench.kind = Doing(bench.machine, {"a": [FAILED]})
    retry = Retry(**{"for": lasts, "every": 2})
    assert bench.perform(bench.saga(), step(retry=retry)).state is State.FAILED
    assert bench.clock.slept == [2, 2]


def test_a_retry_goes_on_after_a_crash(bench: Bench) -> None:
    bench.kind = Doing(bench.machine, {"a": [FAILED, FAILED, DONE]})
    patient = step(retry=Retry(**{"for": 10, "every": 2}))
    killed(bench, ENDED, patient)
    assert bench.perform(bench.saga(), patient).ok
    assert bench.machine.effects["a"] == 1


def test_a_long_retry_does_not_use_up_the_tries_after_a_lost_link(bench: Bench) -> None:
    class Slow(Doing):
        def act(self, work: StepContext) -> Result:
            last = len(self.machine.acted) == ATTEMPTS + 1
            result = super().act(work)
            if last:
                del self.machine.notes[work.key]
                self.machine.effects.clear()
                return UNKNOWN
            return result

    kind = Slow(bench.machine, {"a": [*[FAILED] * (ATTEMPTS + 1), DONE, DONE]})
    patient = step(retry=Retry(**{"for": 60, "every": 1}))
    assert bench.perform(bench.saga(), patient, kind=kind).ok
    assert bench.machine.effects["a"] == 1


def test_anew_acts_as_another_attempt_under_another_note(bench: Bench) -> None:
    saga = bench.saga()
    bench.perform(saga, step())
    bench.perform(saga, step(), anew=True)
    assert bench.machine.acted == [f"{bench.run}/steps/a", f"{bench.run}/steps/a#2"]


# --- back ----------------------------------------------------------------------------------


def test_an_undo_is_done_once(bench: Bench) -> None:
    saga = bench.saga()
    bench.perform(saga, step())
    assert bench.take_back(saga, step()).ok
    assert bench.take_back(bench.saga(), step()).ok
    assert bench.saga().entry("undo/steps/a").undo == Undo("take a back", summary="without a")
    assert len(bench.machine.acted) == 2
    assert not bench.machine.effects["a"]


def test_an_undo_that_is_on_record_asks_no_machine_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    saga = bench.saga()
    bench.perform(saga, step())
    first = bench.take_back(saga, step())
    monkeypatch.setattr(bench.machine, "recall", None)
    assert bench.take_back(bench.saga(), step()) == first
    assert bench.kinds_of_record() == ["begin", "end", "begin", "end"]


def test_what_never_began_is_not_undone(bench: Bench) -> None:
    killed(bench, BEGUN, step())
    result = bench.take_back(bench.saga(), step())
    assert (result.state, result.reason) == (State.SKIPPED, "it never began")
    assert bench.machine.acted == []


@pytest.mark.parametrize("ended", [0, 1], ids=["the first attempt", "a later one"])
def test_an_action_that_still_runs_is_waited_for_before_it_is_undone(
    bench: Bench, ended: int
) -> None:
    bench.kind = Doing(bench.machine, {"a": [*[FAILED] * ended, DONE]})
    patient = step(retry=Retry(**{"for": 10, "every": 2}))
    killed(bench, ENDED * ended + RUNNING, patient)
    assert bench.take_back(bench.saga(), patient).ok
    assert not bench.machine.effects["a"]
    assert not bench.machine.running


def test_on_the_way_back_nobody_waits_for_it_to_prove_itself(bench: Bench) -> None:
    class Proving(Doing):
        def recall(self, work: StepContext, undo: Undo) -> Result | None:
            assert work.undoing, "that it is over is all that is asked"
            return super().recall(work, undo)

    killed(bench, RUNNING, step())
    saga, act = bench.saga(), action(step())
    assert saga.over(Proving(bench.machine), bench.work(act), saga.entry(act.key))
    assert not bench.machine.running


def test_a_failed_attempt_is_undone_although_the_next_one_never_began(bench: Bench) -> None:
    bench.kind = Doing(bench.machine, {"a": [FAILED]})
    patient = step(retry=Retry(**{"for": 10, "every": 2}))
    killed(bench, ENDED + BEGUN, patient)
    assert bench.machine.residue == {"a"}
    assert bench.take_back(bench.saga(), patient).ok
    assert not bench.machine.residue


def test_an_undo_that_was_interrupted_is_found_done(bench: Bench) -> None:
    slow = step(timeout=77)
    bench.perform(bench.saga(), slow)
    with pytest.raises(Crash):
        bench.take_back(bench.saga(ANSWERED), slow)
    assert bench.take_back(bench.saga(), slow).ok
    assert len(bench.machine.acted) == 2
    assert bench.machine.waited == 77, "it may take as long as the step"


def test_each_try_of_an_undo_whose_end_is_not_seen_has_a_note_of_its_own(bench: Bench) -> None:
    class Unseen(Doing):
        def undo(self, work: StepContext, undo: Undo) -> Result:
            super().undo(work, undo)
            self.machine.notes[work.key] = UNKNOWN
            return UNKNOWN

    bench.perform(bench.saga(), step())
    well, bench.kind = bench.kind, Unseen(bench.machine)
    assert bench.take_back(bench.saga(), step()).state is State.UNKNOWN
    bench.kind = well
    assert bench.take_back(bench.saga(), step()).ok
    note = f"{bench.run}/undo/steps/a"
    tries = [note, *(f"{note}#{n}" for n in range(2, ATTEMPTS + 2))]
    assert (bench.machine.acted[1:], bench.machine.violations) == (tries, [])


def test_a_failed_undo_is_tried_again_by_the_next_process(bench: Bench) -> None:
    class Stuck(Doing):
        def undo(self, work: StepContext, undo: Undo) -> Result:
            return FAILED

    bench.perform(bench.saga(), step())
    well, bench.kind = bench.kind, Stuck(bench.machine)
    assert bench.take_back(bench.saga(), step()).state is State.FAILED
    bench.kind = well
    assert bench.take_back(bench.saga(), step()).ok
    assert not bench.machine.effects["a"]


@pytest.mark.parametrize(
    ("why", "state"),
    [(Unreachable("web1 is away"), State.UNREACHABLE), (Refused("no such tag"), State.FAILED)],
    ids=["its host is away", "it is refused"],
)
def test_an_undo_that_could_not_be_done_says_why_and_is_kept_for_later(
    bench: Bench, why: BackoutError, state: State
) -> None:
    class Unable(Doing):
        def undo(self, work: StepContext, undo: Undo) -> Result:
            raise why

    bench.perform(bench.saga(), step())
    well, bench.kind = bench.kind, Unable(bench.machine)
    told = bench.take_back(bench.saga(), step())
    assert (told.state, told.reason) == (state, why.what)
    bench.kind = well
    assert bench.take_back(bench.saga(), step()).ok


@pytest.mark.parametrize("verb", ["begin", "end"])
def test_a_journal_that_cannot_be_written_stops_the_way_back_too(bench: Bench, verb: str) -> None:
    """Nothing is an outcome that is not on record: the run is left as it is."""

    class Full(Mortal):
        def begin(self, run: str, key: str, record: Mapping[str, Any]) -> None:
            self._write("begin", run, key, record)

        def end(self, run: str, key: str, record: Mapping[str, Any]) -> None:
            self._write("end", run, key, record)

        def _write(self, what: str, run: str, key: str, record: Mapping[str, Any]) -> None:
            if what == verb and not self.fate.at:
                self.fate.at.add(0)
                raise Interrupted("the disk is full")
            getattr(self.journal, what)(run, key, record)

    bench.perform(bench.saga(), step())
    records = bench.kinds_of_record()
    full = Saga(bench.run, cast("Any", Full(bench.journal, Fate())), bench.clock)
    with pytest.raises(Interrupted):
        bench.take_back(full, step())
    assert bench.kinds_of_record()[len(records) :] == ([] if verb == "begin" else ["begin"])
    assert bench.take_back(bench.saga(), step()).ok


# --- any number of crashes, anywhere -------------------------------------------------------


@dataclass(frozen=True)
class Life:
    """One process: what it was asked, and after how many boundaries it is killed."""

    verb: str
    killed_at: int


class Story:
    """A run of several steps, from life to life, until one ends in peace."""

    def __init__(self, journal: SqliteJournal, steps: Sequence[Step], machine: Machine) -> None:
        self.bench = Bench(journal, machine)
        self.steps = steps
        self.crashes = 0

    def live(self, life: Life) -> str:
        """`done` or `undone`; Crash when it was killed before."""
        saga = self.bench.saga(life.killed_at)
        mortal = Mortal(self.bench.journal, self.bench.machine.fate)
        wishes = self.bench.kinds_of_record()
        if "done" in wishes:
            return "done"
        forward = life.verb != "abort" and "back_out" not in wishes
        if forward and all(self._well(saga, step) for step in self.steps):
            mortal.note(self.bench.run, "done", {})
            return "done"
        if "back_out" not in wishes:
            mortal.note(self.bench.run, "back_out", {})
        for each in reversed(self.steps):
            if saga.entry(action(each).key).touched:
                result = self.bench.take_back(saga, each)
                assert result.state in (State.DONE, State.SKIPPED)
        return "undone"

    def _well(self, saga: Saga, step: Step) -> bool:
        return self.bench.perform(saga, step).state in (State.DONE, State.SKIPPED)

    def tell(self, lives: Sequence[Life]) -> str:
        for life in lives:
            try:
                return self.live(life)
            except Crash:
                self.crashes += 1
        return self.live(replace(lives[-1], killed_at=0) if lives else Life("resume", 0))

    def holds(self, end: str) -> None:
        machine = self.bench.machine
        assert machine.violations == []
        assert not machine.running, "nothing runs on behind the back of an ended run"
        if end == "done":
            assert {s.name: machine.effects[s.name] for s in self.steps} == {
                s.name: 1 for s in self.steps
            }
        else:
            assert +machine.effects == Counter()
            assert machine.residue == set()


@pytest.mark.parametrize("verb", ["resume", "abort"])
@pytest.mark.parametrize("ends", [(DONE, DONE), (DONE, FAILED)], ids=["good", "bad"])
def test_a_crash_at_every_single_boundary_ends_all_done_or_all_undone(
    journal: SqliteJournal, verb: str, ends: tuple[Result, Result]
) -> None:
    for at in itertools.count(1):
        story = Story(journal, [step("a"), step("b")], Machine())
        story.bench.kind = Doing(story.bench.machine, {"a": [ends[0]], "b": [ends[1]]})
        end = story.tell([Life("run", at), Life(verb, 0)])
        story.holds(end)
        if not story.crashes:
            break
    assert at > 2 * RECORDED, "every boundary of both steps was crossed"


retries = st.sampled_from([None, Retry(**{"for": 6, "every": 2})])
drawn_steps: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.builds(
        dict,
        retry=retries,
        retry_safe=st.booleans(),
        check=st.sampled_from([None, "true"]),
        ends=st.lists(st.sampled_from([DONE, FAILED]), min_size=1, max_size=4),
        lost=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)
lives = st.lists(
    st.builds(Life, st.sampled_from(["resume", "resume", "abort"]), st.integers(1, 30)), max_size=6
)


@pytest.mark.usefixtures("unhurried")
@settings(max_examples=150)
@given(drawn=drawn_steps, lives=lives)
def test_after_any_crashes_each_effect_is_there_once_or_undone(
    drawn: list[dict[str, Any]], lives: list[Life], journal: SqliteJournal
) -> None:
    ends = {f"s{n}": each.pop("ends") for n, each in enumerate(drawn)}
    lost = {f"s{n}" for n, each in enumerate(drawn) if each.pop("lost")}
    story = Story(
        journal, [step(f"s{n}", **each) for n, each in enumerate(drawn)], Machine(lost=lost)
    )
    story.bench.kind = Doing(story.bench.machine, ends)
    story.holds(story.tell(lives))
