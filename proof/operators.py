"""What an operator does: takes the host, records, sends, waits, asks what became of it, ends.

Where an operator is, is a word: `begin`, `locking` or `joining` (it has the lease, or is about to
take it from its own run, and looks for what is alive), `plan` (it does what the records say),
`sending`, `waiting`, `recalling` and `voiding` with what, `never` and `lost` with what (what it was
told), `ending` (it looked for its lease and is about to record how the run ended), `leaving`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proof.hosts import FROM, Move
from proof.world import Command, Guards, Lease, Operator, Records, State


def moves(state: State, guards: Guards, who: str) -> Iterator[Move]:
    """Every next thing that this operator may do."""
    operator = state.who(who)
    if operator is None:
        return
    word, _, what = operator.at.partition(" ")
    yield from _STEPS[word](_Hand(state, guards, who, operator), what)


class _Hand:
    """One operator at one moment, and what it may make of it."""

    def __init__(self, state: State, guards: Guards, who: str, operator: Operator) -> None:
        self.state, self.guards, self.who, self.me = state, guards, who, operator
        self.name = who.upper()
        self.records: Records = state.on_record(operator.run)

    @property
    def ours(self) -> bool:
        lease = self.state.lease
        return not self.state.left.leased or (lease is not None and lease.token == self.me.token)

    def then(self, at: str, state: State | None = None) -> State:
        """The state with this operator at another place; at none when `at` is empty."""
        new = self.me._replace(at=at) if at else None
        return (self.state if state is None else state).operated(self.who, new)

    def say(self, words: str, at: str, state: State | None = None) -> Move:
        return f"{self.name} {words}", self.then(at, state)

    def record(self, words: str, at: str, **what: Any) -> Move:
        """Durably, and refused to whoever was replaced."""
        if self.guards.epoch and self.me.epoch != self.records.epoch:
            return self.say(f"is refused by the ledger ({words}): the run was taken over", "")
        return self.say(f"records {words}", at, self.state.recorded(self.me.run, **what))


# --- the host ------------------------------------------------------------------------------


def _begin(hand: _Hand, _: str) -> Iterator[Move]:
    state, me, guards = hand.state, hand.me, hand.guards
    lease, run = state.lease, me.run
    if not state.left.leased:
        yield hand.say(f"begins with run {run}", "plan", _arrived(hand, state))
    elif lease is not None and lease.run != run:
        yield hand.say(f"is refused: run {lease.run} holds the host", "")
    elif guards.fence and lease is None and hand.records.act and state.last not in (0, run):
        yield hand.say(f"is refused: run {state.last} was on the host since", "")
    elif guards.epoch and run == 1 and state.seen > me.epoch:
        yield hand.say("is refused by the host: the run was taken over", "")
    elif lease is None:
        taken = state._replace(lease=Lease(me.token, run))
        yield hand.say(f"takes the lease for run {run}", "locking", taken)
    else:
        yield hand.say(f"finds the lease of its own run {run}", "joining")


def _locking(hand: _Hand, _: str) -> Iterator[Move]:
    state = hand.state
    if hand.guards.alive and state.living(beside=hand.me.run):
        ours = state.lease and state.lease.token == hand.me.token
        left = state._replace(lease=None) if ours else state
        yield hand.say("is refused: a command of another run is alive there", "", left)
        return
    words = "finds nothing alive there of other runs" if hand.guards.alive else "goes on"
    yield hand.say(words, "plan", _arrived(hand, state))


def _joining(hand: _Hand, _: str) -> Iterator[Move]:
    state = hand.state
    if hand.guards.alive and state.living(beside=hand.me.run):
        yield hand.say("is refused: a command of another run is alive there", "")
        return
    if hand.guards.same and (state.lease is None or state.lease.run != hand.me.run):
        yield hand.say("is refused: it is not the lease that it looked at", "")
        return
    taken = _arrived(hand, state._replace(lease=Lease(hand.me.token, hand.me.run)))
    yield hand.say("takes the lease over", "plan", taken)


def _arrived(hand: _Hand, state: State) -> State:
    run = hand.me.run
    first = {run} if not hand.records.act else set()
    seen = max(state.seen, hand.me.epoch) if run == 1 else state.seen
    return state._replace(marks=state.marks | first, last=run, seen=seen)


# --- what the records say ------------------------------------------------------------------


def _plan(hand: _Hand, _: str) -> Iterator[Move]:
    records, me = hand.records, hand.me
    if records.over:
        yield hand.say("sees that the run has ended", "leaving")
    elif records.act and not records.act_end:
        yield hand.say("finds a command with no outcome on record", "recalling act")
    elif records.wish:
        yield from _plan_back(hand)
    elif me.back or records.act_end in ("none", "unknown"):
        yield hand.record("that the run goes back", "plan", wish=True)
    elif not records.act:
        yield hand.record("what is about to act, with its way back", "sending act", act=1)
    else:
        yield from _look(hand)
        if hand.state.left.red:
            yield hand.record("that a check is red: the run goes back", "plan", wish=True)


def _plan_back(hand: _Hand) -> Iterator[Move]:
    records = hand.records
    known = hand.guards.undo or records.act_end == "done"
    if not records.act or records.act_end == "none" or records.undo_end or not known:
        yield from _look(hand)
    elif not records.undo:
        yield hand.record("that it is about to undo", "sending undo", undo=1)
    else:
        yield hand.say("finds an undo with no outcome on record", "recalling undo")


def _look(hand: _Hand) -> Iterator[Move]:
    """Whether the host is ours is asked before the end is on record."""
    if hand.guards.token and not hand.ours:
        yield hand.say("finds that its lease is gone: a person is needed", "")
    else:
        yield hand.say("finds its lease there", f"ending {'back' if hand.records.wish else ''}")


def _ending(hand: _Hand, back: str) -> Iterator[Move]:
    if back:
        yield hand.record(f"run {hand.me.run} as backed out", "leaving", back=True)
    else:
        yield hand.record(f"run {hand.me.run} as deployed", "leaving", deployed=True)


def _leaving(hand: _Hand, _: str) -> Iterator[Move]:
    ours = hand.state.lease and hand.ours
    yield hand.say("is done", "removing" if ours else "")


def _removing(hand: _Hand, _: str) -> Iterator[Move]:
    """It had looked whether the lease is its own; what is removed is what stands there now."""
    yield hand.say("lets the host go", "", hand.state._replace(lease=None))


# --- commands ------------------------------------------------------------------------------


def _key(hand: _Hand, what: str) -> tuple[int, str, int]:
    return (hand.me.run, what, getattr(hand.records, what))


def _sending(hand: _Hand, what: str) -> Iterator[Move]:
    command = Command(*_key(hand, what), hand.me.token)
    state = hand.state._replace(commands=hand.state.commands | {command})
    yield hand.say(f"sends {FROM[what]}", f"waiting {what}", state)


def _waiting(hand: _Hand, what: str) -> Iterator[Move]:
    key = _key(hand, what)
    at_work = any(c.key == key and c.token == hand.me.token for c in hand.state.commands)
    if hand.state.note(key) == "ended":
        yield _outcome(hand, what, "done")
    elif not at_work:
        yield hand.say(f"loses sight of {FROM[what]}", f"recalling {what}")


def _outcome(hand: _Hand, what: str, end: str) -> Move:
    words = {"done": "is done", "none": "never began", "unknown": "is in a state that nobody knows"}
    ends: dict[str, Any] = {f"{what}_end": end}
    return hand.record(f"that {FROM[what]} {words[end]}", "plan", **ends)


def _recalling(hand: _Hand, what: str) -> Iterator[Move]:
    key, state = _key(hand, what), hand.state
    if state.note(key):
        yield from _told(hand, what)
    elif hand.guards.void:
        voided = state._replace(voids=state.voids | {key})
        yield hand.say(f"declares {FROM[what]} void", f"voiding {what}", voided)
    else:
        yield from _absent(hand, what)


def _voiding(hand: _Hand, what: str) -> Iterator[Move]:
    if hand.state.note(_key(hand, what)):
        yield from _told(hand, what)
    else:
        yield from _absent(hand, what)


def _told(hand: _Hand, what: str) -> Iterator[Move]:
    """What a note says. One that runs is waited for, and ended when it takes too long."""
    key, state = _key(hand, what), hand.state
    word = state.note(key)
    if word == "ended":
        yield _outcome(hand, what, "done")
    elif word == "void":
        yield hand.say(f"is told that {FROM[what]} never began", f"never {what}")
    elif word == "dead":
        yield hand.say(f"is told that {FROM[what]} was stopped", f"lost {what}")
    elif any(c.key == key and c.at != "sent" for c in state.commands):
        others = frozenset(c for c in state.commands if c.key != key)
        dead = state._replace(commands=others).noted(key, "dead")
        yield hand.say(f"has waited too long, and ends {FROM[what]}", f"lost {what}", dead)


def _absent(hand: _Hand, what: str) -> Iterator[Move]:
    if hand.guards.boot and hand.me.run not in hand.state.marks:
        yield hand.say("finds no note, and not the mark of this boot: nobody knows", f"lost {what}")
    else:
        yield hand.say(f"finds no note: {FROM[what]} never began", f"never {what}")


def _never(hand: _Hand, what: str) -> Iterator[Move]:
    records, back = hand.records, hand.me.back or hand.records.wish
    if what == "act" and back:
        yield _outcome(hand, what, "none" if records.act == 1 else "unknown")
    else:
        yield from _once_more(hand, what)


def _lost(hand: _Hand, what: str) -> Iterator[Move]:
    if what == "act":
        yield _outcome(hand, what, "unknown")
    else:
        yield from _once_more(hand, what)


def _once_more(hand: _Hand, what: str) -> Iterator[Move]:
    attempt = getattr(hand.records, what) + 1
    if attempt <= hand.state.left.tries:
        words = f"that {FROM[what]} is tried once more"
        tried: dict[str, Any] = {what: attempt}
        yield hand.record(words, f"sending {what}", **tried)
    elif what == "act":
        yield _outcome(hand, what, "unknown")
    else:
        yield hand.say("gives up: a person is needed", "")


_STEPS = {
    "begin": _begin,
    "locking": _locking,
    "joining": _joining,
    "plan": _plan,
    "ending": _ending,
    "leaving": _leaving,
    "removing": _removing,
    "sending": _sending,
    "waiting": _waiting,
    "recalling": _recalling,
    "voiding": _voiding,
    "never": _never,
    "lost": _lost,
}
