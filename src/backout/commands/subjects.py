"""The subjects of the commits that past runs shipped."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable

from backout.model import Release, RunRow
from backout.model.operands import at_home
from backout.reports.report import ends_of

_HASH = re.compile(r"[0-9a-f]{7,64}")
PATIENCE = 20.0
"""Seconds that git may take."""


def commit_of(row: RunRow) -> str:
    """The commit that a run's release is; empty where it has none."""
    release = ends_of(row).to
    commit = release.commit if isinstance(release, Release) else ""
    return commit if _HASH.fullmatch(commit) else ""


def subjects(rows: Iterable[RunRow]) -> dict[str, str]:
    """By commit, as far as the working copies of the runs' targets still know it."""
    asked: dict[str, set[str]] = {}
    for row in rows:
        source = (row.plan.get("target") or {}).get("source") or {}
        if (commit := commit_of(row)) and source.get("repository"):
            asked.setdefault(source["repository"], set()).add(commit)
    found: dict[str, str] = {}
    for repository, commits in asked.items():
        found |= subjects_in(repository, commits)
    return found


def subjects_in(repository: str, commits: Iterable[str]) -> dict[str, str]:
    """By commit, as far as that working copy knows it."""
    git = ["git", "-C", str(at_home(repository)), "log", "--no-show-signature"]
    try:
        done = subprocess.run(
            [*git, "--no-walk", "--ignore-missing", "--format=%H%x09%s", *sorted(commits), "--"],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    lines = (line.partition("\t") for line in done.stdout.splitlines())
    return {commit: subject for commit, _, subject in lines}
