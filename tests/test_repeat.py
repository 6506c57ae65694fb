"""`tests/repeat`: what is counted over several runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.repeat import Run, read, table

TESTS = """
import pytest
from pathlib import Path

def test_well(): pass
def test_every_other_time():
    assert not Path("mark").exists()
@pytest.fixture
def broken(): raise OSError("no bed")
def test_without_a_bed(broken): pass
"""


def run(directory: Path) -> Run:
    report = directory / "report.xml"
    words = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}", "test_x.py"]
    done = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=directory, check=False)
    return read(report, done.returncode, 1.25)


def test_each_run_and_each_test_that_ever_failed_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(TESTS)
    runs = [run(tmp_path)]
    (tmp_path / "mark").touch()
    runs.append(run(tmp_path))
    (tmp_path / "test_x.py").write_text("def test_well(): pass\n")
    runs.append(run(tmp_path))
    runs.append(read(tmp_path / "none.xml", 3, 0.1))
    assert [line.split() for line in table(runs)] == [
        ["run", "outcome", "tests", "failed", "minutes"],
        ["1", "red", "(1)", "3", "1", "1.2"],
        ["2", "red", "(1)", "3", "2", "1.2"],
        ["3", "green", "1", "0", "1.2"],
        ["4", "red", "(3)", "0", "0", "0.1"],
        ["1", "of", "4", "runs", "are", "green"],
        ["2", "of", "4", "failed:", "test_x::test_without_a_bed"],
        ["1", "of", "4", "failed:", "test_x::test_every_other_time"],
    ]
