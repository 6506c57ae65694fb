"""A deploy of every kind of step meets a fault at one of its writes, syncs, renames or sends, and
all of it is done, or none. Here a few points of each kind of fault.

`python bench/crashpoints.py` does it at every one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from backout.steps import KINDS
from support.crashpoints import Ground, Tally, modes, of_output
from support.scenes import SCENES
from support.sshd import SshdBed
from support.syscalls import SUPPORTED, Call

SAMPLE = [
    ("files", 0, ["kill-resume", "kill-abort", "term", "enospc-back", "eio", "deaf"]),
    ("code", 1, ["kill-back", "shell"]),
    ("service", 2, ["kill-abort", "shell-back"]),
]
TRACED = pytest.mark.skipif(not SUPPORTED, reason="calls are told apart on x86-64 only")
STRIDE = 89
"""How far the points of one mode lie apart, and those of two modes."""


ELSEWHERE = {"traffic"}
"""What acts on a balancer is killed in its own stories."""


def test_the_runbooks_hold_every_kind_of_step(tmp_path: Path) -> None:
    for name, scene in SCENES.items():
        place = tmp_path / name
        place.mkdir()
        runbook = scene(place, ["web1"], {}).runbook()
        assert set(_kinds(runbook["steps"] + runbook["settle"])) == scene.kinds, name
    assert (
        frozenset().union(*(scene.kinds for scene in SCENES.values())) == set(KINDS.own) - ELSEWHERE
    )


def _kinds(steps: Sequence[Mapping[str, object]]) -> Iterator[str]:
    for step in steps:
        yield from (key for key in step if key in KINDS.own)


def at_the_very_end(call: Call) -> bool:
    """The journal is closed when all that is left is to leave."""
    return call.name == "unlink" and call.about.endswith("journal.db-wal")


@TRACED
def test_a_signal_before_a_run_and_after_its_end_is_told_as_that(bed_directory: Path) -> None:
    with Ground(bed_directory, "files", None) as ground:
        mode = modes()["term"]
        for at in (1, 20):
            _, told = ground.point(mode, at)
            assert (told.wrong, told.code, told.outcome) == ([], 3, "nothing")
        _, told = ground.point(replace(mode, wanted=of_output), 6)
        assert (told.wrong, told.code) == ([], 4), "while it tells something"
        _, told = ground.point(replace(mode, wanted=at_the_very_end), 1)
        assert (told.wrong, told.code, told.outcome) == ([], 0, "done")


@TRACED
@pytest.mark.parametrize(("scene", "hosts", "faults"), SAMPLE)
def test_whatever_call_meets_a_fault_all_is_done_or_all_is_undone(
    bed_directory: Path, scene: str, hosts: int, faults: list[str]
) -> None:
    names = ("web1", "web2")[:hosts]
    with (
        SshdBed(bed_directory / "bed", names) as bed,
        Ground(bed_directory, scene, bed if hosts else None, hosts) as ground,
    ):
        for number, fault in enumerate(faults):
            tally = Tally()
            first = 1 if fault == "deaf" else 20 + number * STRIDE % 140
            for _ in ground.points(modes()[fault], tally, STRIDE, first, 1):
                pass
            assert tally.violations == []
            assert tally.run > 0
