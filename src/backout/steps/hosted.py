"""What the strategies of `update` share that bring code onto a machine by git."""

from __future__ import annotations

import re
from abc import abstractmethod
from shlex import quote
from typing import ClassVar
from urllib.parse import unquote, urlsplit, urlunsplit

from backout.errors import Refused
from backout.model import Command, Result, Source, State, Undo
from backout.model.operands import remote
from backout.ports import StepContext
from backout.steps.base import Kind
from backout.steps.git import QUIET, git, source
from backout.steps.script import Facts, read, some, told

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[^/]+:")

_FETCH = """\
helper='!f() { printf "%s\\n" "username=$BACKOUT_USER" "password=$BACKOUT_PASSWORD"; }; f'
remotely() {
  git -C "$1" ${BACKOUT_ORIGIN:+-c "credential.$BACKOUT_ORIGIN.helper="} \\
    ${BACKOUT_ORIGIN:+-c "credential.$BACKOUT_ORIGIN.helper=$helper"} \\
    fetch -q --no-tags --no-recurse-submodules -- "$BACKOUT_REMOTE" "$2"
}"""
"""A shell function that fetches a ref into a repository. What the remote's address holds as a
user and password is told to git alone, and by git to that server alone: in no argument, where
everybody on the host could read it, and in no file."""


TOLD = ("BACKOUT_REMOTE", "BACKOUT_ORIGIN", "BACKOUT_USER", "BACKOUT_PASSWORD")
"""The variables that tell it."""


class Hosted(Kind):
    """One noted command on the machine; so is its way back."""

    undoes: ClassVar[bool] = True

    @abstractmethod
    def script(self, work: StepContext, where: Source, commit: str) -> str:
        """Shell text that puts `commit` in place, and proves that it is."""

    def environment(self, work: StepContext) -> tuple[tuple[str, str], ...]:  # noqa: ARG002
        """What the script needs besides the remote."""
        return ()

    def act(self, work: StepContext) -> Result:
        where, commit = source(work), work.release.commit
        if not commit:
            return Result(State.FAILED, reason="the release has no commit")
        try:
            url = address(work, where)
        except Refused as error:
            return Result(State.FAILED, reason=error.what)
        env = credentials(url)
        remote = "" if env else f"BACKOUT_REMOTE={quote(url)}\n"
        return told(
            work.transport.run(
                Command(
                    f"{QUIET}\n{remote}{_FETCH}\n{self.script(work, where, commit)}",
                    env=(*env, *self.environment(work)),
                    timeout=work.step.timeout,
                    key=work.key,
                    title=work.step.name,
                )
            )
        )

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        result = super().recall(work, undo)
        return None if result is None else told(result)

    def undo(self, work: StepContext, undo: Undo) -> Result:
        result = told(super().undo(work, undo))
        for line in result.stdout.splitlines():
            work.say(line)
        return result


def directory(where: Source) -> str:
    """Where the code goes. Raises Refused when the inventory does not say."""
    if not where.directory:
        raise Refused("source.directory is missing: where the code goes on the hosts")
    return where.directory.rstrip("/") or "/"


def address(work: StepContext, where: Source) -> str:
    """Where the working copy's remote is; a local one as an absolute path. Raises Refused."""
    g = git(where.repository)
    what = f"remote {where.remote} of {where.repository}"
    asked = f'echo "url=$({g} remote get-url -- {quote(where.remote)})"'
    url = _of_the_source(work, asked, what)["url"][0]
    if not url:
        raise Refused(f"{what}: there is no such remote", next=f"{g} remote -v")
    try:
        remote(url)
    except ValueError as error:
        raise Refused(f"{what}: {error}", next=f"{g} remote -v") from error
    if _ADDRESS.match(url) or url.startswith("/"):
        return url
    script = f'cd "$({g} rev-parse --show-toplevel)"; cd -- {quote(url)}; echo "url=$(pwd)"'
    return _of_the_source(work, script, what)["url"][0]


def _of_the_source(work: StepContext, script: str, what: str) -> Facts:
    """What the working copy says, which is the same for every host. Raises Refused."""
    return work.once(script, lambda: read(work.here, script, what))


def credentials(url: str) -> tuple[tuple[str, str], ...]:
    """The variables that carry a remote's address where that holds what nobody else is to read:
    without its user and password, with these beside it. None for any other address: a command
    with variables takes a channel of its own."""
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    if parts.scheme not in ("http", "https") or not (user or parts.query):
        return ()
    if not user:
        return (("BACKOUT_REMOTE", url),)
    name, _, password = user.partition(":")
    return (
        ("BACKOUT_REMOTE", urlunsplit(parts._replace(netloc=place))),
        ("BACKOUT_ORIGIN", f"{parts.scheme}://{place}"),
        ("BACKOUT_USER", unquote(name)),
        ("BACKOUT_PASSWORD", unquote(password)),
    )


def fetched(repository: str, where: Source, commit: str) -> str:
    """Shell text that has `commit` in `repository`. By its hash first: it need not be the
    branch's last; then by the branch, for servers that give nothing else away."""
    g, tip = git(repository), quote(f"{commit}^{{commit}}")
    lacking = f"{commit[:7]} is not on {where.remote}/{where.branch}: push it first"
    return f"""\
if ! {g} cat-file -e {tip} 2>/dev/null; then
  remotely {quote(repository)} {commit} 2>/dev/null ||
    remotely {quote(repository)} {quote(f"refs/heads/{where.branch}")}
  {g} cat-file -e {tip} 2>/dev/null || {{ echo {quote(lacking)} >&2; exit 1; }}
fi
if ! {g} config remote.origin.url >/dev/null; then # what submodules and Git LFS ask for
  n=${{GIT_CONFIG_COUNT:-0}}
  export GIT_CONFIG_COUNT=$((n + 1)) "GIT_CONFIG_KEY_$n=remote.origin.url"
  export "GIT_CONFIG_VALUE_$n=$BACKOUT_REMOTE"
fi
{_refusing_modules(g, where, commit)}"""


def had_again(repository: str, where: Source, commit: str, url: str) -> str:
    """Shell text for a way back, whose `commit` may have been lost since: a clone made anew, or a
    shallow one. It is written down, so its `url` is a `public` one."""
    g, tip = git(repository), quote(f"{commit}^{{commit}}")
    lacking = f"{commit[:7]} is not in {repository} any more, and {url} does not give it"
    fetch = f"{g} fetch -q --no-tags --no-recurse-submodules -- {quote(url)}"
    return f"""\
if ! {g} cat-file -e {tip} 2>/dev/null; then
  {fetch} {commit} 2>/dev/null || {fetch} {quote(f"refs/heads/{where.branch}")} 2>/dev/null || :
  {g} cat-file -e {tip} 2>/dev/null || {{ echo {quote(lacking)} >&2; exit 1; }}
fi"""


def public(url: str) -> str:
    """A remote's address without what nobody else is to read."""
    parts = urlsplit(url)
    if not credentials(url):
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


def _refusing_modules(g: str, where: Source, commit: str) -> str:
    if where.submodules is not None:
        return ":"
    return f"""\
modules=$({g} ls-tree -r {commit} | {_modules()})
if [ -n "$modules" ]; then
  echo "{commit[:7]} has submodules:" $modules {quote(f"({SAY})")} >&2; exit 1
fi"""


MODULES = """\
modules() {
  git submodule -q sync --recursive
  git submodule -q update --init --recursive 2>/dev/null || {
    git submodule -q sync --recursive
    git submodule -q update --init --recursive
  }
}"""
"""A shell function that has the submodules of what is checked out, in its top directory. What moved
to another address is asked for there: where it is not checked out yet, git tries the old one, and
learns of the new one only then."""


def _modules(sign: str = "") -> str:
    """A shell command: of what `ls-tree` lists the submodules, behind a sign."""
    return f"sed -n 's/^160000 commit [0-9a-f]*./{sign}/p'"


SAY = "say source.submodules: true, or false to do without them"


def refuse_what_git_leaves_out(work: StepContext, where: Source) -> None:
    """Submodules, and files in Git LFS, which a plain checkout leaves out; and a commit that nobody
    chose, which a rebase or a bisect has just checked out. Raises Refused."""
    g, commit = git(where.repository), quote(work.release.commit or "HEAD")
    script = f"""\
{QUIET}
{{
  {g} ls-tree -r --full-tree {commit} | {_modules("module=")}
  if {_has_lfs(g, commit)}; then echo lfs=yes; fi
  {_passing(g, where, commit)}
}} 2>/dev/null || :"""
    facts, here = _of_the_source(work, script, where.repository), work.transport.host.name
    for end in facts["passing"]:
        what = end.partition(" ")[0]
        raise Refused(
            f"what would ship is a commit that an unfinished {what} checked out in"
            f" {where.repository}",
            next=f"{g} {end}, or name what ships: --ref {quote(where.branch)}",
        )
    if facts["module"] and where.submodules is None:
        modules = some(facts["module"])
        raise Refused(
            f"the release has submodules, which {here} would not get: {modules}", next=SAY
        )
    if facts["lfs"] and where.lfs and not _smudges(work, where):
        raise Refused(
            f"the release has files in Git LFS, and git-lfs is not set up on {here}",
            next="there: apt-get install git-lfs && git lfs install; or say source.lfs: false",
        )


_PASSING = {
    "rebase-merge": "rebase --abort",
    "rebase-apply": "rebase --abort",
    "BISECT_LOG": "bisect reset",
}
"""The signs in a repository of what checks commits out by itself, and what ends that."""


def _passing(g: str, where: Source, commit: str) -> str:
    """Shell text that says how to end what has just checked `commit` out, on no branch."""
    branch = quote(f"refs/heads/{where.branch}")
    signs = "; ".join(
        f'[ ! -e "$inside/{sign}" ] || echo {quote(f"passing={end}")}'
        for sign, end in _PASSING.items()
    )
    return f"""\
if ! {g} symbolic-ref -q HEAD >/dev/null; then
    inside=$({g} rev-parse --absolute-git-dir) commit=$({g} rev-parse {commit})
    if [ "$commit" = "$({g} rev-parse HEAD)" ] && [ "$commit" != "$({g} rev-parse {branch})" ]; then
      {signs}
    fi
  fi"""


def _has_lfs(g: str, commit: str) -> str:
    """A shell command: whether a commit has files in Git LFS."""
    return f"{g} grep -q filter=lfs {commit} -- ':(top,glob)**/.gitattributes'"


def _smudges(work: StepContext, where: Source) -> bool:
    d = quote(directory(where))
    script = f"""\
{QUIET}
if [ -d {d} ]; then cd -- {d}; fi
echo "lfs=$(git config filter.lfs.smudge)\""""
    return bool(read(work.transport, script, f"git on {work.transport.host.name}")["lfs"][0])


def whole(repository: str, where: Source, commit: str, place: str) -> str:
    """Shell text that fails when a file in `place` is only a pointer into Git LFS."""
    if not where.lfs:
        return ":"
    is_pointer = 'head -c 42 -- "$f" 2>/dev/null | grep -q "^version https://git-lfs"'
    loop = f'for f; do f=${{f#*:}}; if {is_pointer}; then echo "$f"; fi; done'
    g = git(repository)
    return f"""\
if {_has_lfs(g, commit)}; then
  pointers=$({g} grep --no-color -z -l '^version https://git-lfs.github.com/spec/' {commit} |
    (cd -- {place} && xargs -0 sh -c {quote(loop)} sh))
  if [ -n "$pointers" ]; then
    echo "came as pointers into Git LFS, not as files:" $pointers >&2; exit 1
  fi
fi"""
