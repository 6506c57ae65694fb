"""Releases of a repository that a `Bench` deploys, and questions to git."""

from __future__ import annotations

import subprocess
from pathlib import Path

from backout.model import Release, Source

from .git_origin import GitOrigin
from .work import RUN, Bench, Trial


def release(bench: Bench, origin: GitOrigin, *added: str, number: int = 2) -> Trial:
    """The next release, published, which brings these files; not deployed yet."""
    origin.good_change()
    for name in added:
        path = origin.copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("the release's")
        origin.git("add", "-f", name)
    bench.release = Release(number, origin.commit(f"Release {number}"))
    origin.push()
    bench.run = f"{RUN}-{number}"
    return bench.step("update")


def over(origin: GitOrigin, directory: Path, srv: Path) -> Bench:
    """A bench whose host has the repository below `srv`, when it is updated."""
    source = Source(repository=str(origin.copy), directory=str(srv))
    return Bench(directory, source, release=Release(1, origin.head()))


def published(bench: Bench) -> tuple[Trial, Trial]:
    """What is changed in the working copy, committed and pushed: the two steps, which did."""
    commit, push = bench.step("commit"), bench.step("push")
    assert commit.act().ok
    assert push.act().ok
    return commit, push


def git(directory: Path, *words: str) -> str:
    """What git says in a directory, whoever owns that."""
    return subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", str(directory), *words],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
