"""What would ship: the commits and files between what runs and what would run."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from backout.errors import Mistakes
from backout.model import Command, Release, Target
from backout.model.operands import at_home
from backout.ports import Transport
from backout.reports.plans import ShippedCommit, ShippedFile, Ships

LOOK = 60.0
"""Seconds that git may take for one answer."""
MOST = 500
"""Commits that are listed at most."""
_FORMAT = "%H%x1f%an%x1f%s"


def end_of(target: Target, here: Transport, ref: str | None = None) -> str:
    """The commit that `ref` names, or that the working copy is at; empty without one. Raises
    Mistakes for a `ref` that names no commit."""
    if target.source is None:
        return _nowhere(target, ref)
    git = _Git(here, target.source.repository)
    return git.commit(ref) if ref else git.head()


def shipment(
    target: Target, here: Transport, running: Release | None, ref: str | None = None
) -> Ships:
    """From what runs to `ref`, or to what the working copy is at. Raises Mistakes for a `ref` that
    names no commit."""
    if target.source is None:
        _nowhere(target, ref)
        return Ships(unknown="the target has no source")
    git = _Git(here, target.source.repository)
    end = git.commit(ref) if ref else git.head()
    start = running.commit if running else ""
    uncommitted = () if ref else tuple(git.changed())
    if not start or not end:
        return Ships(
            start or None, end or None, uncommitted=uncommitted, unknown=_nothing_known(start)
        )
    if not git.has(start):
        lost = f"{start[:7]}, which runs now, is not in this working copy (git fetch)"
        return Ships(start or None, end or None, uncommitted=uncommitted, unknown=lost)
    return Ships(
        start,
        end,
        tuple(git.log(start, end)),
        tuple(git.log(end, start)),
        tuple(git.files(start, end)),
        uncommitted,
    )


def _nowhere(target: Target, ref: str | None) -> str:
    """No commit is shipped from no source. Raises Mistakes for a `ref`: it would be passed over."""
    if ref:
        wrong = f"--ref {ref}: {target.name} has no source that it could be shipped from"
        raise Mistakes(wrong, where=target.file)
    return ""


def unknown_to_git(target: Target, here: Transport, paths: Iterable[str]) -> tuple[str, ...]:
    """Those of these files that lie in the working copy, and that no commit has."""
    if target.source is None:
        return ()
    git = _Git(here, target.source.repository)
    top = next(iter(git.lines("rev-parse --show-toplevel")), "")
    inside = [each for each in map(_whole, paths) if top and each.is_relative_to(top)]
    return git.lines(f"ls-files --others -- {shlex.join(map(str, inside))}") if inside else ()


def _whole(path: str) -> Path:
    """Where it is, itself being a link or not."""
    at = at_home(path)
    return at.parent.resolve() / at.name


def is_here(target: Target, here: Transport, commit: str) -> bool:
    """Whether the working copy has a commit; also where the target has none."""
    return target.source is None or _Git(here, target.source.repository).has(commit)


def none_is_here(target: Target, here: Transport, commits: Iterable[str]) -> bool:
    """Whether the working copy has none of these commits, and would have: one that is shallow, or
    that git does not read, cannot tell."""
    if target.source is None:
        return False
    git = _Git(here, target.source.repository)
    if git.lines(f"rev-list --no-walk --ignore-missing {shlex.join(commits)} --"):
        return False
    return git.lines("rev-parse --is-shallow-repository") == ("false",)


def tree(target: Target, here: Transport, commit: str) -> str:
    """Git's name for what a commit holds; empty where the working copy does not have it."""
    if target.source is None or not commit:
        return ""
    return _Git(here, target.source.repository).tree(commit)


def _nothing_known(start: str) -> str:
    return "" if start else "nothing that runs now is known"


class _Git:
    """Questions to the working copy's git; it is changed by none."""

    def __init__(self, here: Transport, repository: str) -> None:
        self._this_machine = here
        self._where = repository

    def head(self) -> str:
        return next(iter(self.lines("rev-parse --verify -q HEAD")), "")

    def commit(self, ref: str) -> str:
        """The commit that a tag, a branch or a commit names; a branch of this working copy goes
        before a tag of its name."""
        for name in (f"refs/heads/{ref}", ref):
            if found := self.lines(f"rev-parse --verify -q {shlex.quote(name + '^{commit}')}"):
                return found[0]
        raise Mistakes(
            f"--ref {ref}: no tag, branch or commit of that name in {self._where}",
            where="command line",
            next=f"git -C {shlex.quote(self._where)} fetch --tags, or name another",
        )

    def has(self, commit: str) -> bool:
        return bool(self.lines(f"rev-parse --verify -q {shlex.quote(commit + '^{commit}')}"))

    def tree(self, commit: str) -> str:
        return next(
            iter(self.lines(f"rev-parse --verify -q {shlex.quote(commit + '^{tree}')}")), ""
        )

    def log(self, start: str, end: str) -> Iterator[ShippedCommit]:
        between = shlex.quote(f"{start}..{end}")
        for line in self.lines(
            f"log --no-show-signature -n {MOST} --format={_FORMAT} {between} --"
        ):
            commit, author, subject = line.split("\x1f", 2)
            yield ShippedCommit(commit, author, subject)

    def files(self, start: str, end: str) -> Iterator[ShippedFile]:
        words = f"diff --no-ext-diff --name-status {shlex.quote(start)} {shlex.quote(end)} --"
        for line in self.lines(f"-c core.quotePath=false {words}"):
            status, _, path = line.partition("\t")
            yield ShippedFile(status, path.replace("\t", " -> "))

    def changed(self) -> Iterator[str]:
        status = "-c core.quotePath=false status --porcelain --untracked-files=no"
        yield from (line[3:] for line in self.lines(status))

    def lines(self, words: str) -> tuple[str, ...]:
        where = shlex.quote(str(at_home(self._where)))
        done = self._this_machine.run(Command(f"git -C {where} {words}", timeout=LOOK))
        return tuple(line for line in done.stdout.splitlines() if line) if done.ok else ()
