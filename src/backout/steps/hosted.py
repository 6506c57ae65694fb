"""What the strategies of `update` share that bring code onto a machine by git."""

from __future__ import annotations

import re
from abc import abstractmethod
from shlex import quote
from typing import ClassVar

from backout.errors import Refused
from backout.model import Command, Result, Source, State, Undo
from backout.ports import Work
from backout.steps.base import Kind
from backout.steps.git import QUIET, git, source
from backout.steps.script import read, told

REMOTE = "BACKOUT_REMOTE"
"""The variable that carries the remote's address: it may hold a password."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*::?//|[^/]+:")


class Hosted(Kind):
    """One noted command on the machine; so is its way back."""

    undoes: ClassVar[bool] = True

    @abstractmethod
    def script(self, work: Work, where: Source, commit: str) -> str:
        """Shell text that puts `commit` in place, and proves that it is."""

    def act(self, work: Work) -> Result:
        where, commit = source(work), work.release.commit
        if not commit:
            return Result(State.FAILED, reason="the release has no commit")
        try:
            remote = address(work, where)
        except Refused as error:
            return Result(State.FAILED, reason=error.what)
        return told(
            work.transport.run(
                Command(
                    f"{QUIET}\n{self.script(work, where, commit)}",
                    env=((REMOTE, remote),),
                    timeout=work.step.timeout,
                    key=work.key,
                )
            )
        )

    def recall(self, work: Work, undo: Undo) -> Result | None:
        result = super().recall(work, undo)
        return None if result is None else told(result)

    def undo(self, work: Work, undo: Undo) -> Result:
        result = told(super().undo(work, undo))
        for line in result.stdout.splitlines():
            work.say(line)
        return result


def directory(where: Source) -> str:
    """Where the code goes. Raises Refused when the inventory does not say."""
    if not where.directory:
        raise Refused("source.directory is missing: where the code goes on the hosts")
    return where.directory.rstrip("/") or "/"


def address(work: Work, where: Source) -> str:
    """Where the working copy's remote is; a local one as an absolute path. Raises Refused."""
    g = git(where.repository)
    what = f"remote {where.remote} of {where.repository}"
    url = read(work.here, f'echo "url=$({g} remote get-url {quote(where.remote)})"', what)["url"][0]
    if not url:
        raise Refused(f"{what}: there is no such remote", next=f"{g} remote -v")
    if _ADDRESS.match(url) or url.startswith("/"):
        return url
    script = f'cd "$({g} rev-parse --show-toplevel)"; cd -- {quote(url)}; echo "url=$(pwd)"'
    return read(work.here, script, what)["url"][0]


def fetched(repository: str, where: Source, commit: str) -> str:
    """Shell text that has `commit` in `repository`. By its hash first: it need not be the
    branch's last; then by the branch, for servers that give nothing else away."""
    g, tip = git(repository), quote(f"{commit}^{{commit}}")
    lacking = f"{commit[:7]} is not on {where.remote}/{where.branch}: push it first"
    return f"""\
if ! {g} cat-file -e {tip} 2>/dev/null; then
  {g} fetch -q --no-tags "${REMOTE}" {commit} 2>/dev/null ||
    {g} fetch -q --no-tags "${REMOTE}" {quote(f"refs/heads/{where.branch}")}
  {g} cat-file -e {tip} 2>/dev/null || {{ echo {quote(lacking)} >&2; exit 1; }}
fi"""


def ref(name: str) -> str:
    """A ref of ours that keeps a commit from being forgotten."""
    return quote("refs/backout/" + re.sub(r"[^A-Za-z0-9-]+", "-", name))
