"""What the steps that talk to git share: words, facts, and a published range taken back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from shlex import quote

from backout.errors import Refused
from backout.model import Command, Result, Source, State, Undo
from backout.ports import Transport, Work
from backout.steps.base import Kind, place

QUIET = "export GIT_TERMINAL_PROMPT=0"
"""Git asks nobody: what it would have asked becomes its error."""

SHOWN = 5
"""How many file names a message names."""

Facts = Mapping[str, Sequence[str]]


class WorkingCopy(Kind):
    """A kind that acts on the working copy on this machine, whatever `on` says."""

    undoes = True

    def recall(self, work: Work, undo: Undo) -> Result | None:
        result = super().recall(_here(work), undo)
        return None if result is None else self.outcome(result)

    def undo(self, work: Work, undo: Undo) -> Result:
        result = told(super().undo(_here(work), undo))
        for line in result.stdout.splitlines():
            work.say(line)
        return result

    def outcome(self, result: Result) -> Result:
        """The result of the one command that acted, in the operator's words; its last line is
        the commit that it left."""
        if not result.ok:
            return told(result)
        return replace(result, saved={"commit": result.stdout.split()[-1]})

    def perform(self, work: Work, script: str) -> Result:
        """Act through one command that can be recalled."""
        command = Command(f"{QUIET}\n{script}", timeout=work.step.timeout, key=work.key)
        return self.outcome(work.here.run(command))


def _here(work: Work) -> Work:
    return replace(work, transport=work.here)


def source(work: Work) -> Source:
    """The target's source. Raises Refused when it has none."""
    if work.target.source is None:
        raise Refused(
            f"target {work.target.name} has no source",
            next="add `source:` to its inventory: what commit, push and update act on",
        )
    return work.target.source


def git(directory: str) -> str:
    """The beginning of a git command that acts in `directory`, as shell text."""
    return f"git -C {quote(directory)}"


def on_branch(where: Source, branch: str) -> None:
    """Raise Refused when another branch than the target's, or none, is checked out."""
    if branch == where.branch:
        return
    state = f"is on branch {branch}" if branch else "is on no branch (detached HEAD)"
    raise Refused(
        f"{where.repository} {state}, and the target's branch is {where.branch}",
        next=f"{git(where.repository)} checkout {quote(where.branch)}",
    )


def way_back(work: Work, text: str, data: Mapping[str, object] | None = None) -> Undo:
    """The undo that the kind brings, unless the runbook words its own."""
    own = work.step.undo
    return Undo(
        text=text if own is None else own,
        data={**(data or {}), **({} if own is None else place(work))},
        irreversible=work.step.irreversible or "",
    )


def output(transport: Transport, script: str, what: str) -> str:
    """What a reading script prints. Raises Refused in git's words."""
    result = transport.run(Command(f"{QUIET}\n{script}", timeout=120.0))
    if not result.ok:
        raise Refused(f"{what}: {words(result) or result.reason}")
    return result.stdout


def read(transport: Transport, script: str, what: str) -> Facts:
    """The `name=value` lines that a reading script prints. Raises Refused in git's words."""
    facts = defaultdict(list)
    for line in output(transport, script, what).split("\n"):
        name, _, value = line.partition("=")
        facts[name].append(value)
    return facts


def words(result: Result) -> str:
    """The last things that were said on stderr, without hints."""
    lines = (line.strip() for line in result.stderr.split("\n"))
    said = [line for line in lines if line and not line.startswith("hint:")]
    return "; ".join(said[-4:])


def told(result: Result) -> Result:
    """A failure gives its own words as the reason."""
    said = words(result)
    return replace(result, reason=said) if result.state is State.FAILED and said else result


def some(names: Sequence[str]) -> str:
    """The first few of many names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def trailer(name: str, run: str) -> str:
    """An argument for `git rev-list` that finds commits by a trailer."""
    return quote(f"--grep=^{name}: {run}$")


def published(where: Source) -> str:
    """Shell text that sets `head` to the remote branch's commit, empty when there is none."""
    ref = quote(f"refs/heads/{where.branch}")
    return (
        f"listed=$({git(where.repository)} ls-remote {quote(where.remote)} {ref});"
        " head=${listed%%[!0-9a-f]*}"
    )


def fetch(where: Source) -> str:
    """Shell text that has the remote branch's objects here."""
    ref = quote(f"refs/heads/{where.branch}")
    return f"{git(where.repository)} fetch -q {quote(where.remote)} {ref}"


def reversal(where: Source, run: str, subject: str) -> str:
    """Shell functions that take `$old..$new` back, as one commit on top of `$head`.

    The commit is made in a worktree of its own, by merging the reverse of the whole range: the
    working copy and what is uncommitted there are not touched, and merges within the range are
    no obstacle. `reverse` sets `commit`, to `$head` itself when nothing is left to take back.
    """
    g = git(where.repository)
    return f"""\
tmp=
leave() {{
  [ -z "$tmp" ] || {{ {g} worktree remove --force "$tmp/tree" || :; rm -rf "$tmp"; }} 2>/dev/null
}}
trap leave EXIT
trap 'exit 1' HUP INT TERM
already() {{
  {g} rev-list -n 1 --all-match {trailer("Backout-Undo", run)} --grep="$new" "$new..$head"
}}
reverse() {{
  if [ -z "$tmp" ]; then
    {g} worktree prune
    tmp=$(mktemp -d)
    {g} worktree add -q --detach "$tmp/tree" "$head"
    undo=$({g} commit-tree -p "$new" -m {quote(f'Revert "{subject}"')} \\
      -m "This reverts commit $range." -m {quote(f"Backout-Undo: {run}")} "$old^{{tree}}")
  fi
  git -C "$tmp/tree" reset -q --hard "$head"
  if ! git -C "$tmp/tree" cherry-pick "$undo" >/dev/null 2>"$tmp/words"; then
    clashes=$(git -C "$tmp/tree" diff --name-only --diff-filter=U)
    if [ -n "$clashes" ] || [ -n "$(git -C "$tmp/tree" status --porcelain)" ]; then
      [ -n "$clashes" ] || cat "$tmp/words" >&2
      echo "$range cannot be reverted by itself, later commits changed the same lines:" $clashes >&2
      exit 1
    fi
    git -C "$tmp/tree" cherry-pick --skip
  fi
  commit=$(git -C "$tmp/tree" rev-parse HEAD)
}}"""
