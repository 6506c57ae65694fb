"""The tiers of the suite: told from what a test uses, and from what it imports."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.changed import reached
from support.sshd import SshdBed
from support.tiers import _reaches

ROOT = Path(__file__).parent.parent


def a_test_that_only_counts() -> None:
    assert sum((1, 2)) == 3


def a_test_with_a_bed() -> None:
    SshdBed(Path())


def a_test_that_starts_something() -> None:
    _start()


def _start() -> None:
    subprocess.run(["true"], check=True)


def test_what_starts_nothing_is_quick() -> None:
    assert not _reaches(a_test_that_only_counts)


def test_a_bed_or_a_process_is_a_real_part_also_behind_a_helper() -> None:
    assert _reaches(a_test_with_a_bed)
    assert _reaches(a_test_that_starts_something)


def test_a_change_reaches_whoever_imports_it_and_every_story_of_the_command_line() -> None:
    names = {path.name for path in reached(frozenset({ROOT / "src/backout/language/quoting.py"}))}
    assert {"test_templating.py", "test_rollback.py"} <= names
    assert "test_pages.py" not in names


def test_a_change_of_a_test_reaches_that_test_alone() -> None:
    path = ROOT / "tests/unit/runs/test_plan.py"
    assert reached(frozenset({path})) == {path}
