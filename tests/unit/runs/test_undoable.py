"""What cannot be undone refuses a rollback before anything is undone, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from backout.errors import Refused
from backout.model import Step
from backout.runs.backward import Backward
from backout.runs.plan import Action
from backout.runs.saga import Entry
from backout.runs.undoable import refuse_impossible, refuse_irreversible


def did(key: str, text: str = "undo it", irreversible: str = "", data: Any = None) -> Entry:
    undo = {"text": text, "data": data or {}, "irreversible": irreversible}
    return Entry(key, {"undo": undo, "run": "do it"}, {"state": "done"}, 1)


NEVER = Entry("First")


def way(run: str, done: Mapping[str, Entry], unready: str = "", host: str = "web1") -> Backward:
    """A run that did these steps; a text with a secret in it cannot be revealed."""
    actions = [Action(name, Step(name=name, kind="run", options=None), host) for name in done]

    def reveal(text: str) -> None:
        if "secret" in text:
            raise Refused(f"no secret in {text}", next="")

    def ready(work: tuple[Action, bool], undo: Any) -> str:
        return unready if work == (actions[0], False) and undo.text else ""

    worker = SimpleNamespace(
        parts=SimpleNamespace(vault=SimpleNamespace(reveal=reveal)),
        kind=lambda action: SimpleNamespace(unready=ready) if action in actions else None,
        work=lambda action, strict=True: (action, strict),
    )
    plan = SimpleNamespace(run=run, actions=actions)
    past = SimpleNamespace(entry=done.__getitem__)
    return cast("Backward", SimpleNamespace(worker=worker, plan=plan, past=past))


ROWS = did("Drop", irreversible="the rows are gone")


def test_a_step_that_cannot_be_undone_is_refused_with_its_run_and_why() -> None:
    with pytest.raises(Refused) as caught:
        refuse_irreversible([way("r2", {"First": did("First")}), way("r1", {"Drop": ROWS})], ())
    assert caught.value.what == (
        "run r1 cannot be undone: Drop was irreversible: the rows are gone"
    )
    assert caught.value.next == (
        "invoke show r1; whether the older code lives with it shows"
        " invoke rehearse --target STAGING --old-code"
    )


def test_only_the_newest_run_is_crossed_and_only_where_that_is_said() -> None:
    newest = way("r2", {"First": did("First"), "Drop": ROWS})
    refuse_irreversible([newest], ["Drop"])
    with pytest.raises(Refused):
        refuse_irreversible([newest], ["First"])
    with pytest.raises(Refused):
        refuse_irreversible([way("r3", {}), newest], ["Drop"])


def refused(*ways: Backward) -> str:
    """What is refused, line by line."""
    with pytest.raises(Refused) as caught:
        refuse_impossible(ways, "prod")
    assert caught.value.next == "invoke history --target prod"
    return caught.value.what


def test_a_secret_that_is_not_there_any_more_is_named_with_its_step() -> None:
    words = refused(way("r1", {"First": did("First", "é secret"), "Last": did("Last")}))
    assert words == ('web1: First cannot be undone: no secret in ["é secret", {}]')
    assert refused(way("r1", {"First": did("First", data={"a": "secret"})}))


def test_what_a_host_has_no_longer_got_is_named_and_each_once() -> None:
    gone = way("r2", {"First": did("First")}, unready="release 1 is gone")
    line = "web1: First cannot be undone: release 1 is gone"
    assert refused(gone, way("r1", {"Last": did("Last", "secret")})).split("\n") == [
        line,
        'web1: Last cannot be undone: no secret in ["secret", {}]',
    ]
    assert refused(gone, gone) == line


def test_a_step_that_never_began_or_stays_or_acted_here_asks_no_host() -> None:
    stays = did("First", "secret", irreversible="sent")
    for entry, host in ((NEVER, "web1"), (stays, "web1"), (did("First"), "")):
        refuse_impossible([way("r1", {"First": entry}, "gone", host)], "prod")
