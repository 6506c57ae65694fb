"""Twins of the product whose rollbacks lack one guard each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from proof.twin import Twin, no_words, nothing
from proof.worlds import faults

from backout.commands import deploy
from backout.model import Finding
from backout.runs import leasing, roll_forward, rollback
from backout.runs.claims import Claims
from backout.runs.decisions import Decisions, begun
from backout.runs.destination import Return
from backout.runs.plan import Action
from backout.runs.release_file import HostRecord
from backout.runs.roll_forward import RollForward
from backout.runs.rollback import Rollback
from backout.runs.setback import Found
from backout.runs.worker import AGAIN

# --- what is done instead ----------------------------------------------------------------------


def _no_findings(*_: Any, **__: Any) -> tuple[Finding, ...]:
    return ()


def _proves_nothing(*_: Any, **__: Any) -> tuple[tuple[Finding, ...], list[Finding]]:
    return (), []


def _does_at_once(self: RollForward, way: Any, action: Action) -> None:
    self._do(way, action)


def _leaves_what_has_begun(self: RollForward, way: Any, actions: Sequence[Action]) -> None:
    for action in actions:
        self._afresh(way, replace(action, key=f"{AGAIN}/{way.of}{action.key}"))


def _forgets_the_turn(self: Decisions, kind: str, body: Any) -> None:
    if kind == "back_out":
        self.took(kind, body)
    else:
        _NOTE(self, kind, body)


_NOTE = Decisions.note

# --- the table ---------------------------------------------------------------------------------

_KILLS = (faults.kill, faults.kill_soon)
_BACK = {"back": True, "here": False, "ends": "well"}
_SPOILT = {**_BACK, "spoilt": True}

TWINS = (
    Twin(
        "a rollback looks first at what is there",
        parts=((Found, "look", nothing),),
        among=(),
        shape=_SPOILT,
    ),
    Twin(
        "a rollback goes forward again where its release is not well",
        parts=((Rollback, "_worse_than_before", nothing),),
        among=(),
        shape=_SPOILT,
    ),
    Twin(
        "a rollback proves its release",
        parts=((Rollback, "_red", _no_findings),),
        among=(),
        shape=_SPOILT,
    ),
    Twin(
        "hosts that went back are settled",
        parts=((Rollback, "_settle", lambda _self, _hosts, stuck, _turn: stuck),),
        among=(),
        shape=_BACK,
    ),
    Twin(
        "hosts that went forward again are settled",
        parts=((RollForward, "_settle", nothing),),
        among=(),
        shape=_SPOILT,
    ),
    Twin(
        "what is there again is proved",
        parts=((Found, "proved", _proves_nothing),),
        among=(),
        shape={**_SPOILT, "ruined": True},
    ),
    Twin(
        "what had begun to be taken back is so to its end before it is done again",
        parts=((RollForward, "_travel", _leaves_what_has_begun),),
        among=(faults.kill_at_record,),
        shape={**_SPOILT, "known": ""},
    ),
    Twin(
        "what may have been done again is taken back before the next time",
        parts=((RollForward, "_afresh", _does_at_once),),
        among=(faults.cut, faults.unplug),
        shape={**_SPOILT, "known": ""},
    ),
    Twin(
        "nothing is done again beside a command that is at work",
        soon=False,
        parts=((roll_forward, "at_work", nothing),),
        among=(faults.kill_soon,),
        shape=_SPOILT,
    ),
    Twin(
        "the turn forward is on record",
        parts=((Decisions, "note", _forgets_the_turn),),
        among=_KILLS,
        shape=_SPOILT,
    ),
    Twin(
        "once it takes back what was done here a rollback has one way",
        parts=((Rollback, "_one_way", no_words),),
        among=_KILLS,
        shape={**_BACK, "here": True},
    ),
    Twin(
        "a rollback goes back beneath no other run",
        parts=((Claims, "refuse_strangers", nothing),),
        among=(),
        shape={**_BACK, "since": True},
    ),
    Twin(
        "a few hosts go back first",
        parts=((Return, "portions", property(lambda self: [("", *self.hosts)])),),
        among=(),
        shape={**_SPOILT, "at_once": False, "hosts": 3},
    ),
    Twin(
        "a run that was refused stays open while hosts may name it",
        parts=((deploy, "stays_open", begun), (leasing, "stays_open", begun)),
        among=(faults.cut_when_named,),
        shape={"back": False},
    ),
    Twin(
        "a run whose end is known is over, whoever names it",
        soon=False,
        held="it is held by `tests/stories/test_named_on_hosts.py`",
        parts=((HostRecord, "without", lambda self, _: self),),
        among=(faults.cut,),
        shape=_BACK,
    ),
    Twin(
        "what cannot be undone is refused before anything is",
        soon=False,
        held="no step of a world is of that kind; `tests/stories/test_rollback.py` holds it",
        parts=(
            (rollback, "refuse_irreversible", nothing),
            (rollback, "refuse_impossible", nothing),
        ),
        among=(faults.kill,),
        shape=_BACK,
    ),
)
