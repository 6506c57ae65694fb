"""While a run is unfinished, whatever refuses offers commands that do something in that state."""

from __future__ import annotations

import re
from typing import Any

import pytest

from support.project import Said
from support.yard import Yard

VERBS = [
    ("deploy",),
    ("run", "--runbook", "deploy"),
    ("rollback",),
    ("history.export", "all.jsonl"),
    ("uninstall", "--yes"),
    ("unlock", "--yes"),
    ("status",),
    ("exec", "--changes", "a look", "true"),
]
LOOKS = {"status", "show", "history", "plan"}


def offered(said: Said) -> set[str]:
    """The verbs that it says may be typed next."""
    data: Any = said.data
    words = data["error"]["next"] if "error" in data else data["next"]
    return set(re.findall(r"(?:invoke|backout) ([a-z]+)", words))


def everything(yard: Yard, run: str, *more: str) -> dict[str, set[str]]:
    """What each verb offers in this state."""
    told = {verb: offered(yard.say(verb, *words)) for verb, *words in VERBS}
    told |= {verb: offered(yard.say(verb)) for verb in more}
    return told | {"show": offered(yard.project.say("show", run, "--json"))}


@pytest.mark.parametrize(
    ("verb", "way", "code"),
    [("deploy", "resume", 4), ("rollback", "resume", 0), ("rollback", "abort", 4)],
)
def test_each_command_that_is_offered_works_while_a_run_is_unfinished(
    yard: Yard, verb: str, way: str, code: int
) -> None:
    mended = yard.files.parent / "mended"
    yard.runbook(yard.step("One"))
    yard.good_release()
    hopeless = {**yard.step("Two"), "undo": f"test -e {mended}"}
    yard.runbook(hopeless, *([yard.step("Fail", before="exit 1")] if verb == "deploy" else []))
    if verb == "rollback":
        yard.good_release()
    said = yard.say(verb)
    assert said.code == 5, said.out + said.err
    assert "resume" in offered(said)
    told = everything(yard, said.data["run"])
    after = {"unlock", "deploy"} if verb == "rollback" else set()
    for name, words in told.items():
        assert "resume" in words, name
        assert words <= {"resume", "abort"} | LOOKS | after, name
    seen: set[str] = set().union(*told.values(), offered(said))
    for look in seen & LOOKS:
        about = [said.data["run"]] if look == "show" else ["--target", "prod"]
        assert yard.project.say(look, *about).code in (0, 6), look
    mended.touch()
    assert yard.say(way).code == code


def test_nothing_is_offered_beside_a_process_that_is_alive_but_to_look_or_wait(
    yard: Yard,
) -> None:
    yard.runbook(yard.step("Slow", before=yard.hold()))
    yard.start()
    yard.busy("Slow-here")
    run = yard.project.say("history", "--json").data["runs"][0]["run"]
    for name, words in everything(yard, run, "resume", "abort").items():
        assert words <= LOOKS, name
