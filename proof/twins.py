"""Twins of the product that lack one guard each, and the worlds in which that is noticed.

Prints a table: which guard, after how many worlds, and what was seen.

    python proof/twins.py                      # drawn at large: minutes
    python proof/twins.py --guided             # each in worlds of the kind that it is there for;
                                               # the table of docs/proof.md
    python proof/twins.py --only "the void"
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from proof import rollbacks
from proof.twin import Twin, no_words, nothing, noticed
from proof.worlds import faults
from proof.worlds.story import Told, ground

from backout.adapters import lease, renewal
from backout.adapters.storage.journal import RunJournal
from backout.errors import BackoutError, Unreachable
from backout.model import Result, State
from backout.runs import backward
from backout.runs.backward import Backward
from backout.runs.claims import Claims
from backout.runs.forward import Forward
from backout.runs.saga import Saga, numbered
from backout.runs.worker import Worker
from backout.steps import in_place

RUN = r"\d{8}-\d{6}-[0-9a-f]{16}"
NAMED = {"run": "a run", "end": "end a run"}

# --- what is done instead ----------------------------------------------------------------------


def _acts_first(
    self: Saga, action: Any, kind: Any, work: Any, undo: Any, attempt: int, left: int = 3
) -> Result:
    try:
        result: Result = kind.act(numbered(work, attempt))
    except Unreachable as error:
        result = Result(State.UNREACHABLE, reason=error.what)
    except BackoutError as error:
        result = Result(State.FAILED, reason=error.what)
    self._begin(action, undo, attempt)
    if result.state is State.UNKNOWN:
        return self._sort_out(action, kind, work, undo, attempt, result, left)
    return result


def _asks_nobody(
    self: Saga,
    action: Any,
    kind: Any,
    work: Any,
    undo: Any,
    attempt: int,
    unknown: Result,
    left: int,
) -> Result:
    return self._act(action, kind, work, undo, attempt + 1, left - 1) if left > 1 else unknown


def _finishes_twice(self: RunJournal, run: str, outcome: str, record: Any, **ledger: Any) -> None:
    _FINISH(self, run, outcome, record)
    _FINISH(self, run, outcome, record, **ledger)


_FINISH = RunJournal.finish


def _forgets_the_wish(self: Worker, name: str, body: Any) -> None:
    if name != "back_out":
        _NOTE(self, name, body)


_NOTE = Worker.note


def _no_news(*_: Any) -> tuple[()]:
    return ()


def _well(*_: Any, **__: Any) -> Result:
    return Result(State.DONE)


# --- the table ---------------------------------------------------------------------------------

_KILLS = (faults.kill, faults.kill_soon)
_CUTS = (faults.cut, faults.unplug)

TWINS = (
    Twin(
        "the way back is on record before the act",
        parts=((Saga, "_act", _acts_first),),
        among=_KILLS,
        shape={"back": False},
    ),
    Twin(
        "a machine is asked what became of a command",
        parts=((Saga, "_sort_out", _asks_nobody),),
        among=_CUTS,
        shape={"known": "", "back": False},
    ),
    Twin(
        "who is told that a command never began makes sure that it never will (the void)",
        texts=(
            ("recall", """{ printf '' >"$bo_note.void"; } 2>/dev/null""", ":"),
            ("recall", '[ -e "$bo_note.void" ] && [ "$bo_was"', '[ "$bo_was"'),
        ),
        among=(faults.late,),
    ),
    Twin(
        "a command does nothing without its lease",
        texts=(("note", '[ -n "$bo_token" ] || return 0', "return 0"),),
        among=(faults.rob,),
        shape={"slow": 4.0},
    ),
    Twin(
        "a command looks for its lease once more when its note is made",
        soon=False,
        texts=(("note", "  bo_ours || { bo_give_up fenced; return; }", "  :"),),
        among=(faults.rob,),
        shape={"back": False},
    ),
    Twin(
        "who takes or frees a host looks for commands that are alive there",
        soon=False,
        texts=(("lease", 'echo "alive=$bo_pid', 'echo >/dev/null "alive=$bo_pid'),),
        among=(faults.inherit,),
        shape={"slow": 200.0, "back": False},
    ),
    Twin(
        "who takes over the lease of its own run takes that one",
        soon=False,
        held="it is held by the model, and by `tests/stories/test_lease_replaced.py`",
        texts=(
            (
                "acquire",
                'mv -f "$ready" token && mv -f "$new"/* .',
                'mv -f "$ready" "$home/lock/token" && mv -f "$new"/* "$home/lock"',
            ),
        ),
        among=(faults.race,),
    ),
    Twin(
        "of a run's own processes the later one holds the host",
        texts=(("acquire", '"$epoch.$turn" || return 0', '"$epoch.$turn" || :'),),
        among=(faults.go_on_twice,),
        shape={"back": False},
    ),
    Twin(
        "a run does not go on where another one was since",
        soon=False,
        texts=(("acquire", 'echo "$last"; exit 76', ":"),),
        parts=((Claims, "_news", _no_news),),
        among=(faults.inherit,),
    ),
    Twin(
        "whoever was taken over is refused (the epoch)",
        texts=(("acquire", 'if [ "$seen" -gt "$epoch" ]', 'if false && [ "$seen" -gt "$epoch" ]'),),
        among=(faults.take_over,),
    ),
    Twin(
        '"it never began" is said by the mark of this boot',
        texts=(("recall", '&& [ "$bo_was" = "$bo_boot" ]', ""),),
        among=(faults.storm,),
        shape={"slow": 4.0, "known": ""},
    ),
    Twin(
        "the mark is made once",
        texts=(("lease", '[ -n "$began" ] || [ -e "$mine/boot" ] || {', "{"),),
        among=(faults.storm,),
        shape={"slow": 4.0, "known": ""},
    ),
    Twin(
        "a lease is renewed while its run lives",
        parts=((renewal.Renewal, "_run", no_words),),
        among=(faults.unlock,),
        shape={"here": True, "slow": 70.0},
    ),
    Twin(
        "the outcome and the ledger are one transaction",
        parts=((RunJournal, "finish", _finishes_twice),),
        among=(faults.kill_at_decision,),
        shape={"ends": "well", "back": False},
    ),
    Twin(
        "the wish to go back is on record",
        parts=((Worker, "note", _forgets_the_wish),),
        among=_KILLS,
        shape={"ends": "fails", "back": False},
    ),
    Twin(
        "hosts are settled after their undos",
        parts=((Backward, "settle_again", nothing),),
        among=(faults.signal,),
        shape={"back": False},
    ),
    Twin(
        "nothing is undone beside a restart that was interrupted",
        soon=False,
        parts=((backward, "at_work", nothing),),
        among=(faults.kill_soon,),
        shape={"ends": "well", "back": False, "slow": 1.0},
    ),
    Twin(
        "a restart is proved by its identity",
        parts=((in_place, "prove", _well),),
        among=(faults.stale,),
    ),
    Twin(
        "the last proof is made",
        parts=((Forward, "_prove", no_words),),
        among=(faults.stale,),
        shape={"ends": "ill"},
    ),
    Twin(
        "the end asks whether the hosts are still held",
        soon=False,
        held="who has lost its hosts cannot put its success on record there;"
        " `tests/stories/test_fence.py` holds it",
        parts=((lease.LeaseLock, "lost", no_words),),
        among=(faults.take,),
    ),
    *rollbacks.TWINS,
)
"""Each guard that is taken away."""


def main() -> int:
    """1 when a twin is not noticed, and nothing else holds it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--guided", action="store_true")
    parser.add_argument("--only", default="", help="guards in whose name that stands")
    words = parser.parse_args()
    missed = 0
    print("| guard | worlds until it is missed | what is seen then |\n|---|---|---|")
    with ground() as worlds:
        for twin in TWINS:
            if words.only in twin.guard:
                count, told = noticed(worlds, twin, seed=words.seed, guided=words.guided)
                missed += told is None and not twin.held
                print(f"| {twin.guard} | {count} | {_seen(twin, told)} |", flush=True)
    return 1 if missed else 0


def _seen(twin: Twin, told: Told | None) -> str:
    """In short: without the names of runs."""
    if told is None:
        return f"nothing: {twin.held}" if twin.held else "nothing"
    words = re.sub(rf": \['{RUN}.*", "", told.violations[0])
    words = re.sub(rf"\b(run|end) {RUN}", lambda found: NAMED[found[1]], words)
    return re.sub(rf" {RUN}", "", words)


if __name__ == "__main__":
    sys.exit(main())
