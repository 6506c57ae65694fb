"""A plug-in that does not keep its word fails its step or its check, and ends no run by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.plugin import install
from support.project import Project

STEPS = {
    "raises": ("act", 'raise KeyError("odd")'),
    "leaves": ("act", "sys.exit(0)"),
    "odd": ("act", 'raise BaseException("odd")'),
    "nothing": ("act", "return None"),
    "true": ("act", "return True"),
    "worded": ("act", 'return Result("done")'),
    "bytes": ("act", "return Result(State.DONE, 0, stdout=b'x')"),
    "endless": ("act", 'return Result(State.DONE, 0, seconds=float("inf"))'),
    "unkept": ("act", 'return Result(State.DONE, 0, saved={"at": object()})'),
    "blind": ("before", "return None"),
    "unwritable": ("before", 'return Undo(text="true", data={"at": object()})'),
    "counts": ("reads", "return [1]"),
    "stuck": ("undo", "sys.exit(0)"),
}
WELL = "return super().act(work)"
MEDDLES = {
    "prints": "print('said'); os.write(1, b'said')",
    "closes": "sys.stdout.close()",
    "moves": "os.chdir('/')",
    "empties": "os.environ.clear()",
    "deafens": "signal.signal(signal.SIGINT, signal.SIG_IGN)",
    "finds": "assert all((signal.getsignal(signal.SIGINT) is not signal.SIG_IGN,"
    " 'PATH' in os.environ, os.path.exists('tasks.py'), not sys.stdout.closed))",
}
"""Acts that do what they are to do, and something with the process besides; the last one only finds
what it needs of it."""
PROBES = {
    "quits": "sys.exit(0)",
    "unread": "return Observation(error=None)",
    "agrees": "return True",
    "lists": 'return Observation(facts=[("ok", True)])',
}
HANGS = "threading.Event().wait()"
HEAD = """
import os, signal, sys, threading
from backout.model import Observation, Options, Result, State, Undo
from backout.probes.base import Kind as Check
from backout.steps.base import Kind, command
from backout.steps.script import way_back

class Where(Options):
    path: str

class Good(Kind):
    Options = Where
    undoes = True
    def describe(self, work):
        return "touch"
    def before(self, work):
        return way_back(work, f"rm -f {work.options.path}", summary="away")
    def act(self, work):
        return work.transport.run(command(work, f"touch {work.options.path}", key=work.key))

none = None
"""


@pytest.fixture
def place(tmp_path: Path) -> Project:
    package = tmp_path / "ill"
    package.mkdir()
    rows = "".join(f'{kind} = "ill:{kind}"\n' for kind in ("none", *STEPS, *MEDDLES))
    (package / "pyproject.toml").write_text(
        f'[project]\nname = "ill"\nversion = "1"\n[project.entry-points."backout.steps"]\n{rows}'
        '[project.entry-points."backout.probes"]\n'
        + "".join(f'{kind} = "ill:{kind}"\n' for kind in ("hangs", *PROBES))
    )
    (package / "src").mkdir()
    steps = "".join(
        f"\nclass {kind}(Good):\n    def {method}(self, work, *more):\n"
        + ("        super().act(work)\n" if method == "act" else "")
        + f"        {body}\n"
        for kind, (method, body) in STEPS.items()
    ) + "".join(
        f"\nclass {kind}(Good):\n    def act(self, work):\n        {body}\n        {WELL}\n"
        for kind, body in MEDDLES.items()
    )
    probes = "".join(
        f"\nclass {kind}(Check):\n    Options = Where\n"
        f"    def observe(self, look):\n        {body}\n"
        for kind, body in {**PROBES, "hangs": HANGS}.items()
    )
    (package / "src" / "ill.py").write_text(HEAD + steps + probes)
    return Project(tmp_path / "project", {"PYTHONPATH": install(tmp_path / "site", package)})


def deployed(place: Project, *steps: dict[str, Any], check: dict[str, Any] | None = None) -> Any:
    look = check or {"command": "true", "expect": ["exit_code == 0"]}
    place.inventory("prod", {"hosts": {"here": {"connection": "local"}}, "checks": {"up": look}})
    place.runbook("deploy", {"steps": list(steps), "settle": [{"verify": "all"}]})
    said = place.say("deploy", "--target", "prod", "--yes")
    assert "Traceback" not in said.out + said.err
    return said


@pytest.mark.parametrize(
    "kind",
    ["raises", "leaves", "odd", "nothing", "true", "worded", "bytes", "endless", "unkept"],
)
def test_an_act_that_breaks_has_failed_and_is_taken_back(
    place: Project, tmp_path: Path, kind: str
) -> None:
    said = deployed(place, {"name": "Odd", kind: {"path": str(tmp_path / "made")}, "on": "all"})
    assert said.code == 4, said.out + said.err
    assert f"plug-in {kind!r}" in said.out + said.err
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("kind", ["blind", "unwritable", "counts"])
def test_a_way_back_that_cannot_be_written_down_refuses_before_anything_acts(
    place: Project, tmp_path: Path, kind: str
) -> None:
    said = deployed(place, {"name": "Odd", kind: {"path": str(tmp_path / "made")}, "on": "all"})
    assert said.code == 3, said.out + said.err
    assert f"plug-in {kind!r}" in said.err


@pytest.mark.parametrize("kind", MEDDLES)
def test_what_an_act_does_with_the_process_is_put_back(
    place: Project, tmp_path: Path, kind: str
) -> None:
    """Each word that Backout says is said where it belongs, and each file is where it looks."""
    place.inventory(
        "prod",
        {
            "hosts": {"here": {"connection": "local"}},
            "checks": {"up": {"command": "true", "expect": ["exit_code == 0"]}},
        },
    )
    step = {"name": "Odd", kind: {"path": str(tmp_path / "made")}, "on": "all"}
    after = {"name": "After", "finds": {"path": str(tmp_path / "after")}, "on": "all"}
    place.runbook("deploy", {"steps": [step, after], "settle": [{"verify": "all"}]})
    said = place.say("deploy", "--target", "prod", "--yes", "--json", alone=True)
    assert said.code == 0, said.out + said.err
    assert said.data["outcome"] == "succeeded", "one object, and nothing else"
    assert place.say("status", "--target", "prod").code == 0


def test_a_check_that_does_not_come_back_has_found_nothing_out(place: Project) -> None:
    check = {"hangs": {"path": "x"}, "expect": ["1 == 1"], "timeout": "100ms"}
    place.inventory("prod", {"hosts": {"here": {"connection": "local"}}, "checks": {"up": check}})
    said = place.say("verify", "--target", "prod", "--json", alone=True)
    assert said.code == 9, said.out + said.err
    assert "plug-in 'hangs' raised TimeoutError: no answer within" in said.out


def test_an_undo_that_leaves_the_process_leaves_backing_out_incomplete(
    place: Project, tmp_path: Path
) -> None:
    steps = {"name": "Odd", "stuck": {"path": str(tmp_path / "made")}, "on": "all"}
    said = deployed(place, steps, {"name": "Fail", "run": "false", "undo": "true", "on": "all"})
    assert said.code == 5, said.out + said.err
    assert "plug-in 'stuck' raised SystemExit" in said.out + said.err


@pytest.mark.parametrize("kind", PROBES)
def test_a_probe_that_breaks_has_found_nothing_out(
    place: Project, tmp_path: Path, kind: str
) -> None:
    check = {kind: {"path": "x"}, "expect": ["1 == 1"]}
    step = {"name": "Make", "run": f"touch {tmp_path}/made", "undo": f"rm -f {tmp_path}/made"}
    said = deployed(place, step, check=check)
    assert said.code == 4, said.out + said.err
    assert not (tmp_path / "made").exists()
    assert place.say("verify", "--target", "prod").code == 9


def test_a_row_that_is_no_class_is_refused_by_name(place: Project) -> None:
    place.runbook("deploy", {"steps": [{"none": {"path": "x"}}]})
    said = place.say("lint")
    assert said.code == 3
    assert "the plug-in 'none' of ill cannot be loaded" in said.err
