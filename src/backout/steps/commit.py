"""`commit`: changes of the working copy as one commit that names its run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from shlex import quote
from typing import ClassVar

from pydantic import field_validator

from backout.errors import Refused
from backout.model import Options, Result, Source, TemplateText, Undo
from backout.model.operands import at_home
from backout.ports import StepContext
from backout.steps.git import (
    UNDO,
    WorkingCopy,
    at,
    checked_out,
    fetch,
    git,
    locked,
    nobody,
    on_branch,
    places,
    published,
    refuse_a_lock,
    reversal,
    source,
    trailer,
)
from backout.steps.script import read, some, way_back

NOTHING = "nothing to commit"
UNFINISHED = {
    "rebase-apply/applying": "git am",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}


class CommitOptions(Options):
    """Which files, or every change to files that git knows; and the message."""

    short: ClassVar[str] = "message"
    told_fields: ClassVar[tuple[str, ...]] = ("paths", "message")
    paths: tuple[str, ...] | TemplateText = ()
    message: str = "Deploy"

    @field_validator("paths", mode="before")
    @classmethod
    def _one(cls, value: object) -> object:
        return (value,) if isinstance(value, str) and "{{" not in value else value


class Commit(WorkingCopy):
    """Untracked files are committed only when they are named; what else is staged stays staged.

    The way back: an unpublished commit is taken off again and its changes are back in the
    working copy; a published one is left to `push`, whose undo reverts it.
    """

    Options: ClassVar[type[Options]] = CommitOptions

    def describe(self, work: StepContext) -> str:
        paths = work.options.paths
        named = paths if isinstance(paths, str) else " ".join(map(quote, paths))
        message = quote(work.options.message)
        return f"git commit -m {message}: {named or 'every change to tracked files'}"

    def reads(self, work: StepContext) -> Sequence[str]:
        paths, top = work.options.paths, at_home(source(work).repository)
        return () if isinstance(paths, str) else tuple(str(top / path) for path in paths)

    def before(self, work: StepContext) -> Undo:
        where = source(work)
        base = _checked_out(work, where)
        _named(work, where)
        summary = "git: take the commit back, or leave it to push once it is published"
        return way_back(work, _undo(work, where, base), {"base": base}, summary)

    def act(self, work: StepContext) -> Result:
        where, paths = source(work), work.options.paths
        if not paths:
            _mention_untracked(work, where)
        return self.perform(work, _script(work, where, paths))

    def outcome(self, result: Result) -> Result:
        result = super().outcome(result)
        none = result.ok and NOTHING in result.stdout.splitlines()
        return replace(result, reason=NOTHING) if none else result


def _script(work: StepContext, where: Source, paths: Sequence[str]) -> str:
    g = f"{git(where.repository)} --literal-pathspecs"
    message = f"-m {quote(work.options.message)} -m {quote(f'Backout-Run: {work.run}')}"
    if not paths:
        return (
            f"if {g} diff --quiet --ignore-submodules=dirty HEAD; then echo {quote(NOTHING)}\n"
            f"else\n{_known(work, where, f'{g} commit -q -a {message}')}fi\n{g} rev-parse HEAD"
        )
    named = " ".join(map(quote, paths))
    top = at(where.repository)
    return f"""\
for path in {named}; do
  if [ -e {top}/"$path" ] || [ -L {top}/"$path" ]; then {g} add -- "$path"; fi
done
if {g} diff --quiet HEAD -- {named}; then echo {quote(NOTHING)}
else
{_known(work, where, f"{g} commit -q --only {message} -- {named}", f"{g} reset -q -- {named}")}fi
{g} rev-parse HEAD"""


def _known(work: StepContext, where: Source, commit: str, failed: str = ":") -> str:
    """Shell text that commits, and takes off again what does not name its run: a hook may write the
    message anew, and the way back would not find it."""
    g = git(where.repository)
    return f"""\
old=$({g} rev-parse HEAD)
{commit} || {{ {failed} || :; exit 1; }}
if [ -z "$({g} rev-list {trailer("Backout-Run", work.run)} "$old"..HEAD)" ]; then
  new=$({g} rev-parse HEAD)
  {_taken_off(where)}
  echo 'a hook of the repository took the line Backout-Run out of the message' >&2; exit 1
fi
"""


def _taken_off(where: Source) -> str:
    """Shell text: what leads from `old` to `new`, which is checked out, is no commit any more,
    and its changes are where they were."""
    g = git(where.repository)
    return f"""\
top=$({g} rev-parse --show-toplevel)
  git -C "$top" diff-tree -r -z --name-only "$old" "$new" |
    git -C "$top" --literal-pathspecs reset -q --pathspec-from-file=- --pathspec-file-nul "$old"
  {g} reset -q --soft "$old\""""


def _checked_out(work: StepContext, where: Source) -> str:
    """The commit to come back to. Raises Refused unless the branch is checked out, at rest."""
    g, name = git(where.repository), where.repository
    facts = read(
        work.here,
        f"""\
[ "$({g} rev-parse --is-inside-work-tree)" = true ] || {{ echo 'no working copy' >&2; exit 1; }}
echo "head=$({g} rev-parse -q --verify HEAD)"
echo "branch=$({checked_out(where.repository)})"
directory=$({g} rev-parse --absolute-git-dir)
for name in {" ".join(UNFINISHED)}; do
  if [ -e "$directory/$name" ]; then echo "unfinished=$name"; fi
done
{locked(where.repository, where.branch)}
if {nobody(g)} && [ -n "$({g} --literal-pathspecs status --porcelain {_concerned(work)})" ]; then
  echo nobody=yes
fi
{g} diff --name-only --diff-filter=U | sed 's/^/torn=/'""",
        f"git repository {name}",
    )
    head, branch = facts["head"][0], facts["branch"][0]
    if not head:
        raise Refused(f"{name} has no commit yet", next="make the first commit by hand")
    for sign in facts["unfinished"]:
        what = UNFINISHED[sign]
        raise Refused(f"a {what} is unfinished in {name}", next="finish or abort it: git status")
    refuse_a_lock(facts, work.here.host.name)
    if facts["nobody"]:
        raise Refused(
            f"git does not know who commits in {name}",
            next=f"{g} config user.name NAME, and the same for user.email",
        )
    if torn := facts["torn"]:
        raise Refused(
            f"{some(torn)} in {name}: both sides of a conflict would be committed",
            next="resolve it, and git add what is resolved: git status",
        )
    on_branch(where, branch)
    return head


def _concerned(work: StepContext) -> str:
    """Arguments of `git status` for what would be committed."""
    paths = work.options.paths
    return f"-- {' '.join(map(quote, paths))}" if paths else "--untracked-files=no"


def _named(work: StepContext, where: Source) -> None:
    """Each named path must be a file here, or one that git knows. Raises Refused."""
    g, top = f"{git(where.repository)} --literal-pathspecs", at(where.repository)
    for path in work.options.paths:
        p = quote(path)
        script = (
            f"if [ -e {top}/{p} ] || [ -L {top}/{p} ]; then {g} add -n -- {p} >/dev/null\n"
            f'elif [ -z "$({g} ls-tree HEAD -- {p})" ]; then'
            " echo 'no such file, here or in the last commit' >&2; exit 1; fi"
        )
        read(work.here, script, f"{path} cannot be committed")


def _mention_untracked(work: StepContext, where: Source) -> None:
    g = f"{git(where.repository)} -c core.quotePath=false"
    facts = read(
        work.here,
        f"{g} ls-files --others --exclude-standard | sed 's/^/file=/'",
        f"git repository {where.repository}",
    )
    if names := facts["file"]:
        work.say(f"not committed, git does not know them: {some(names)}")


def _undo(work: StepContext, where: Source, base: str) -> str:
    g, remote, branch = git(where.repository), quote(where.remote), where.branch
    ref = quote(f"refs/heads/{branch}")
    subject = work.options.message.strip().partition("\n")[0]
    elsewhere = f"is unpublished, on a branch that is not checked out: {g} checkout {quote(branch)}"
    return f"""\
{UNDO}
old={base}
to={remote}
has_old() {{ {g} cat-file -e "$old^{{commit}}" 2>/dev/null; }}
has_old || {{ {fetch(where)}; has_old; }} && {g} rev-parse -q --verify {ref} >/dev/null || {{
  echo 'what was committed is not here'; exit 0
}}
found=$({g} rev-list --reverse {trailer("Backout-Run", work.run)} "$old"..{ref})
set -- $found
new=${{1-}} range=${{1-}}
if [ -z "$new" ]; then echo 'nothing was committed'; exit 0; fi
if {g} remote get-url -- {remote} >/dev/null 2>&1; then
  {places(where)}
  stays=
  for to; do
    {published(where)}
    if [ -z "$head" ]; then # the branch may have got another name there
      stays=$({g} for-each-ref --count=1 --contains "$new" refs/remotes)
    else
      {fetch(where)}
      if {g} merge-base --is-ancestor "$new" "$head"; then stays=yes; fi
    fi
    if [ -n "$stays" ]; then
      echo "$new is published and stays in the history"; exit 0
    fi
  done
fi
if [ "$({g} symbolic-ref -q HEAD)" != {ref} ]; then
  echo "$new" {quote(elsewhere)} >&2
  exit 1
fi
head=$({g} rev-parse HEAD)
if [ "$head" = "$new" ]; then
  {_taken_off(where)}
  exit 0
fi
{reversal(where, work.run, subject)}
[ -z "$(already)" ] || exit 0
reverse
{g} merge -q --ff-only "$commit"
"""
