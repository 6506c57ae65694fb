"""The code is clean by the tools that its contributors use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.tools import program

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "words",
    [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)],
    ids=lambda words: " ".join(words),
)
def test_the_tools_find_nothing(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_shell_programs_are_clean() -> None:
    done = subprocess.run(
        [program("shellcheck"), *_shell_programs()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_kept_that_a_program_left() -> None:
    meant = {"__init__.py", "py.typed"}
    kept = [ROOT / name for name in _tracked() if (ROOT / name).is_file()]
    assert [path for path in kept if not path.stat().st_size and path.name not in meant] == []


def _shell_programs() -> list[str]:
    """Every tracked file that a shell would run."""
    return [name for name in _tracked() if _is_shell(ROOT / name)]


def _tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [name for name in listed.split("\0") if name]


def _is_shell(path: Path) -> bool:
    if path.suffix == ".sh":
        return True
    if path.suffix or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.readline().strip() in (b"#!/bin/sh", b"#!/bin/bash", b"#!/usr/bin/env bash")
