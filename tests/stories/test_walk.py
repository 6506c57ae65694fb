"""The first hour of a new user: the tutorial, line by line; `tests/walk` types it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.tools import venv_program

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_every_line_of_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    programs = Path(venv_program("backout")).parent
    tmp_path.chmod(0o777)
    done = subprocess.run(
        [ROOT / "tests" / "walk", programs],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    told = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, told[-6000:]
    assert "\n== Done\n" in done.stdout
    assert "Traceback" not in told
    following = [line for line in told.splitlines() if line.startswith("next:")]
    assert len(following) > 8, "each verb was typed, and said what comes next"
    assert not [line for line in following if "invoke " in line], "backout was typed"
