"""What the steps that talk to git share, above all how a range of commits is taken back."""

from __future__ import annotations

import re
from dataclasses import replace
from shlex import quote

from backout.errors import Refused
from backout.model import Command, Result, Source, Undo
from backout.model.operands import shell_path
from backout.model.repository import ALONE
from backout.ports import StepContext
from backout.steps.base import Kind
from backout.steps.script import Facts, told

QUIET = f"export GIT_TERMINAL_PROMPT=0; {ALONE}"
"""Git asks nobody: what it would have asked becomes its error. And it acts where `-C` says,
whatever a hook or a login's start-up file exported."""
UNDO = f"set -e\n{QUIET}"
"""How an undo begins: a person who types it is as careful as Backout."""


AGAIN = "reverted; to take the change up again:"
"""What stands before the command that does so."""


class WorkingCopy(Kind):
    """A kind that acts on the working copy on this machine, whatever `on` says."""

    undoes = True
    reaches = False
    publishes = True

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        result = super().recall(_at_the_source(work), undo)
        return None if result is None else self.outcome(result)

    def undo(self, work: StepContext, undo: Undo) -> Result:
        result = told(super().undo(_at_the_source(work), undo))
        for line in result.stdout.splitlines():
            work.say(line)
            if line.startswith(AGAIN):
                result = replace(result, saved={"again": line.removeprefix(AGAIN).strip()})
        return result

    def outcome(self, result: Result) -> Result:
        """The result of the one command that acted, in the operator's words; its last line is
        the commit that it left."""
        if not result.ok:
            return told(result)
        return replace(result, saved={"commit": result.stdout.split()[-1]})

    def perform(self, work: StepContext, script: str) -> Result:
        """Act through one command that can be recalled."""
        command = Command(
            f"{QUIET}\n{script}", timeout=work.step.timeout, key=work.key, title=work.step.name
        )
        return self.outcome(work.here.run(command))


def _at_the_source(work: StepContext) -> StepContext:
    return replace(work, transport=work.here)


def source(work: StepContext) -> Source:
    """The target's source. Raises Refused when it has none."""
    if work.target.source is None:
        raise Refused(
            f"target {work.target.name} has no source",
            next="add `source:` to its inventory: what commit, push and update act on",
        )
    return work.target.source


def at(directory: str) -> str:
    """A directory of this machine as shell text; one under `~/` begins at home."""
    return shell_path(directory, here=True)


def git(directory: str) -> str:
    """The beginning of a git command that acts in `directory`, as shell text."""
    return f"git -C {at(directory)}"


def checked_out(directory: str) -> str:
    """Shell text that prints the branch that is checked out, or nothing. (`--short` would say
    `heads/main` where a tag has the branch's name.)"""
    return f"{git(directory)} symbolic-ref -q HEAD | sed -n 's,^refs/heads/,,p'"


def on_branch(where: Source, branch: str) -> None:
    """Raise Refused when another branch than the target's, or none, is checked out."""
    if branch == where.branch:
        return
    state = f"is on branch {branch}" if branch else "is on no branch (detached HEAD)"
    raise Refused(
        f"{where.repository} {state}, and the target's branch is {where.branch}",
        next=f"{git(where.repository)} checkout {quote(where.branch)}",
    )


def locked(directory: str, branch: str = "") -> str:
    """Shell text that prints `locked=FILE` where git's index, HEAD or that branch stays locked for
    longer than another git takes for a look."""
    heads = f' "$all"/refs/heads/{quote(branch)}.lock' if branch else ""
    return f"""\
own=$({git(directory)} rev-parse --absolute-git-dir)
all=$own # those of a linked working copy are its own, and its branches the repository's
[ ! -e "$own/commondir" ] || all=$own/$(cat "$own/commondir")
for lock in "$own/index.lock" "$own/HEAD.lock"{heads}; do
  for moment in 1 2 3 4 5 6 7 8 9; do
    [ ! -e "$lock" ] || sleep 0.1 2>/dev/null || sleep 1
  done
  if [ -e "$lock" ]; then echo "locked=$lock"; break; fi
done"""


def refuse_a_lock(facts: Facts, machine: str) -> None:
    """Raise Refused where `locked` found one: nothing could be committed or checked out."""
    for lock in facts["locked"]:
        raise Refused(
            f"{lock} is there on {machine}: another git is at work, or one was killed",
            next=f"when no git runs there any more, on {machine}: rm {quote(lock)}",
        )


def ref(name: str) -> str:
    """A ref of ours that keeps a commit from being forgotten."""
    return quote("refs/backout/" + re.sub(r"[^A-Za-z0-9-]+", "-", name))


def trailer(name: str, run: str) -> str:
    """An argument for `git rev-list` that finds commits by a trailer."""
    return quote(f"--grep=^{name}: {run}$")


def places(where: Source) -> str:
    """Shell text whose arguments become what a push goes to: the remote, or its addresses where it
    is pushed to another one than it is fetched from, or to several."""
    g, remote = git(where.repository), quote(where.remote)
    return f"""\
places=$({g} remote get-url --push --all -- {remote} 2>/dev/null) || :
[ "$places" != "$({g} remote get-url -- {remote} 2>/dev/null)" ] || places={remote}
IFS='
'; set -f; set -- $places; set +f; unset IFS"""


def published(where: Source, by: str = "") -> str:
    """Shell text that sets `head` to the branch's commit at `$to`, empty when there is none. (git
    lists whatever ends in the name: `refs/backup/refs/heads/main` too.)"""
    ref = quote(f"refs/heads/{where.branch}")
    return (
        f'listed=$({by}{git(where.repository)} ls-remote -- "$to" {ref});'
        f" head=$(printf '%s\\n' \"$listed\" | awk -v ref={ref} '$2 == ref {{ print $1 }}')"
    )


def fetch(where: Source, by: str = "") -> str:
    """Shell text that has the objects of the branch at `$to` here."""
    return f"{by}{fetched_alone(where)} {quote(f'refs/heads/{where.branch}')}"


def fetched_alone(where: Source, *options: str) -> str:
    """The beginning of a `git fetch` from `$to`, of nothing but what is named: a tag that moved
    there, a submodule that is gone, or an old name in the way of `origin/main` is no reason for it
    to fail."""
    words = " ".join(("-q", "--no-tags", "--no-recurse-submodules", "--refmap=", *options))
    return f'{git(where.repository)} fetch {words} -- "$to"'


_UNHOOKED = """\
n=${GIT_CONFIG_COUNT:-0}
    export GIT_CONFIG_COUNT=$((n + 1)) "GIT_CONFIG_KEY_$n=core.hooksPath"
    export "GIT_CONFIG_VALUE_$n=/dev/null"\
"""


_APART = """\
apart() (
  while IFS= read -r name; do
    [ -n "$name" ] || continue
    n=${GIT_CONFIG_COUNT:-0}
    export GIT_CONFIG_COUNT=$((n + 1)) "GIT_CONFIG_KEY_$n=$name" "GIT_CONFIG_VALUE_$n="
  done <<EOF
$(git -C "$tmp/tree" config --name-only --get-regexp '^filter[.]' || :)
EOF
  git -C "$tmp/tree" "$@"
)"""
"""A shell function: git in the worktree, where files are what they are in git. A filter (Git LFS,
git-crypt) may want a server that does not answer, or a key that is not there."""


def nobody(g: str) -> str:
    """A shell command: whether git knows nobody who could commit here."""
    return f"! {{ {g} var GIT_AUTHOR_IDENT && {g} var GIT_COMMITTER_IDENT; }} >/dev/null 2>&1"


def _somebody(g: str) -> str:
    """Shell text: where git knows nobody, as on a machine of a pipeline, a commit is Backout's."""
    names = (f"GIT_{role}_{part}" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL"))
    pairs = (f"{name}={'Backout' if 'NAME' in name else 'backout@localhost'}" for name in names)
    return f"if {nobody(g)}; then export {' '.join(pairs)}; fi"


def reversal(where: Source, run: str, subject: str) -> str:
    """Shell functions that take `$old..$new` back, as one commit on top of `$head`.

    The commit is made in a worktree of its own, by merging the reverse of the whole range: the
    working copy and what is uncommitted there are not touched, and merges within the range are
    no obstacle. Neither are the working copy's hooks, which guard new work, nor a key for
    signatures that needs somebody's hand. `reverse` sets `commit`, to `$head` itself when
    nothing is left to take back.
    """
    g = git(where.repository)
    return f"""\
{_somebody(g)}
tmp=
leave() {{
  [ -z "$tmp" ] || {{ {g} worktree remove --force "$tmp/tree" || :; rm -rf "$tmp"; }} 2>/dev/null
}}
trap leave EXIT
trap 'exit 1' HUP INT TERM
already() {{
  {g} rev-list -n 1 --all-match {trailer("Backout-Undo", run)} --grep="$new" "$new..$head"
}}
{_APART}
within() {{
  tmp=$1
  [ -n "$tmp" ] && {g} worktree add -q --no-checkout --detach "$tmp/tree" "$head" &&
    apart reset -q --hard "$head"
}}
unsigned() {{
  [ "$(apart config --type=bool commit.gpgSign)" = true ] || return 1
  apart reset -q --hard "$head"
  apart -c commit.gpgSign=false cherry-pick "$undo" >/dev/null 2>"$tmp/words"
}}
reverse() {{
  if [ -z "$tmp" ]; then
    {_UNHOOKED}
    within "$(mktemp -d 2>/dev/null)" 2>/dev/null || {{ # there is no /tmp, or no room in it
      leave
      within "$(mktemp -d "$({g} rev-parse --absolute-git-dir)/backout.XXXXXX")" || exit 1
    }}
    undo=$({g} commit-tree -p "$new" -m {quote(f'Revert "{subject}"')} \\
      -m "This reverts commit $range." -m {quote(f"Backout-Undo: {run}")} "$old^{{tree}}")
  fi
  apart reset -q --hard "$head"
  if ! apart cherry-pick "$undo" >/dev/null 2>"$tmp/words" && ! unsigned; then
    clashes=$(apart diff --name-only --diff-filter=U)
    if [ -n "$clashes" ] || [ -n "$(apart status --porcelain)" ]; then
      [ -n "$clashes" ] || cat "$tmp/words" >&2
      echo "$range cannot be reverted by itself, later commits changed the same lines:" $clashes >&2
      exit 1
    fi
    apart cherry-pick --skip
  fi
  commit=$(apart rev-parse HEAD)
}}"""
