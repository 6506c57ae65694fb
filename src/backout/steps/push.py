"""`push`: the working copy's commits to the remote branch."""

from __future__ import annotations

from shlex import quote

from backout.errors import Refused
from backout.model import Result, Source, Undo
from backout.ports import StepContext
from backout.steps.git import (
    AGAIN,
    QUIET,
    UNDO,
    WorkingCopy,
    checked_out,
    fetch,
    fetched_alone,
    git,
    locked,
    on_branch,
    places,
    published,
    ref,
    reversal,
    source,
)
from backout.steps.script import Facts, read, way_back

PUSH = "{g} push -q --no-follow-tags --"
"""What is pushed is what is named: no way back takes tags that went along."""


class Push(WorkingCopy):
    """The way back is a revert that is pushed in turn: published history is never rewritten."""

    def describe(self, work: StepContext) -> str:
        where = source(work)
        return f"git push {quote(where.remote)} HEAD:{quote(f'refs/heads/{where.branch}')}"

    def before(self, work: StepContext) -> Undo:
        where = source(work)
        facts = _look(work, where)
        old, new = facts["old"][0], facts["new"][0]
        if {*facts["old"]} != {new}:
            _may_push(where, facts)
        summary = f"git: revert what was pushed to {where.remote}/{where.branch}, and push that"
        return way_back(work, _undo(work, where, facts), {"old": old, "new": new}, summary)

    def act(self, work: StepContext) -> Result:
        """Whatever HEAD is by now, what is pushed is what the way back on record takes back."""
        where = source(work)
        g, remote, branch = git(where.repository), quote(where.remote), where.branch
        known = str(work.resolved.data["new"]) if work.resolved else ""
        gone = (
            f"HEAD no longer holds {known[:7]}, which was to be pushed and can be taken back:"
            " invoke abort, and deploy again"
        )
        moved = (
            f"somebody pushed to {where.remote}/{branch} meanwhile:"
            " git pull, look at it, and deploy again"
        )
        return self.perform(
            work,
            f"""\
new={known or f"$({g} rev-parse HEAD)"}
if ! {g} merge-base --is-ancestor "$new" HEAD; then echo {quote(gone)} >&2; exit 1; fi
if ! {PUSH.format(g=g)} {remote} "$new":{quote(f"refs/heads/{branch}")}; then
  {places(where)}
  to=$1
  {published(where)}
  if [ -n "$head" ] && ! {g} merge-base --is-ancestor "$head" "$new" 2>/dev/null; then
    echo {quote(moved)} >&2
  fi
  exit 1
fi
echo "$new\"""",
        )


def _look(work: StepContext, where: Source) -> Facts:
    """What is published, and what would be."""
    g = git(where.repository)
    script = f"""\
{QUIET}
{places(where)}
for to; do
  {published(where)}
  echo "old=$head"
done
echo "new=$({g} rev-parse HEAD)"
echo "branch=$({checked_out(where.repository)})"
echo "subject=$({g} log --no-show-signature -1 --format=%s HEAD)"
if [ -z "$head" ]; then echo forward=yes count=0
elif {g} merge-base --is-ancestor "$head" HEAD 2>/dev/null; then
  echo forward=yes
  echo "count=$({g} rev-list --count "$head..HEAD")"
else echo forward=no; fi"""
    return read(work.here, script, f"{where.remote} cannot be read from {where.repository}")


def _may_push(where: Source, facts: Facts) -> None:
    if len(set(facts["old"])) > 1:
        raise Refused(
            f"{where.remote} is pushed to several places, and {where.branch} is not the same commit"
            " in each",
            next=f"bring them to one commit: {git(where.repository)} remote get-url --push --all"
            f" {quote(where.remote)}",
        )
    on_branch(where, facts["branch"][0])
    if facts["forward"][0] == "no":
        raise Refused(
            f"{where.remote}/{where.branch} has commits that {where.repository} lacks:"
            " a push would not be a fast-forward",
            next=f"{git(where.repository)} pull, look at it, and deploy again",
        )


def _undo(work: StepContext, where: Source, facts: Facts) -> str:
    old, new, subject = facts["old"][0], facts["new"][0], facts["subject"][0]
    branch, remote = where.branch, where.remote
    if not old:
        return f"echo {quote(f'the branch {branch} is new on {remote} and stays there')}"
    if old == new:
        return f"echo {quote(f'nothing was pushed to {remote}/{branch}')}"
    several = int(facts["count"][0]) > 1
    if several:
        subject += f'" and what came before it, from {old[:7]} on'
    return f"""\
{UNDO}
old={old} new={new} range={f"{old}..{new}" if several else new}
{reversal(where, work.run, subject)}
{_reverted(where, work.run, new)}
{_forward(where)}
"""


def _reverted(where: Source, run: str, new: str) -> str:
    """Somebody may push meanwhile: look again and try once more. A revert that the remote does not
    take, or that would take back what somebody put there themselves, is kept for a person."""
    g, remote, branch = git(where.repository), where.remote, where.branch
    target = quote(f"refs/heads/{branch}")
    gone = (
        f"{remote} has no branch {branch} any more: {new[:7]} is not reverted, wherever it is now"
    )
    one, whole = fetched_alone(where), fetched_alone(where, "--unshallow")
    return f"""\
{_FINDING.format(g=g, ref=target, fetch=one, whole=whole)}
kept() {{
  {g} update-ref {ref(f"revert-{run}")} "$commit"
  echo "$1;" {quote(f"its revert is kept: {g} push {quote(remote)}")} \\
    "$({g} rev-parse --short "$commit")":{target} >&2
  exit 1
}}
take_back() {{
  for attempt in 1 2; do
    {published(where, "twice ")}
    if [ -n "$head" ]; then {fetch(where, "twice ")}; fi
    as=
    if ! contained; then
      if [ -z "$head" ]; then echo {quote(gone)}; return; fi
      if ! rewritten; then
        echo {quote(f"{new[:7]} is not on {remote}/{branch}: nothing to revert there")}; return
      fi
      as=another
    fi
    commit=$(already)
    [ -z "$commit" ] || break
    if [ -n "$made" ] && {g} merge-base --is-ancestor "$head" "$made"; then commit=$made
    else reverse; fi
    if [ "$commit" = "$head" ]; then break; fi
    if [ -n "$as" ]; then
      kept {quote(f"{remote}/{branch} was rewritten, and has {new[:7]} as another commit")}
    fi
    if {PUSH.format(g=g)} "$to" "$commit":{target} 2>"$tmp/words"; then break; fi
    if [ $attempt = 2 ]; then
      grep -v -e '^To ' -e '^error: failed to push' "$tmp/words" | tail -n 3 >&2
      kept {quote(f"the revert could not be pushed to {remote}/{branch}")}
    fi
  done
  made=$commit
}}
made=
{places(where)}
for to; do take_back; done
[ -n "$made" ] || exit 0"""


_FINDING = """\
twice() {{ "$@" || {{ sleep 1; "$@"; }}; }}
contained() {{
  [ -n "$head" ] || return 1
  for depth in shallow whole; do
    if {{
      {g} cat-file -e "$old^{{commit}}" && {g} merge-base --is-ancestor "$new" "$head"
    }} 2>/dev/null; then return 0; fi
    [ "$({g} rev-parse --is-shallow-repository)" = true ] || return 1
    twice {whole} {ref} || exit 1
  done
}}
rewritten() {{
  [ -n "$head" ] || return 1
  {g} cat-file -e "$new^{{commit}}" 2>/dev/null || {fetch} "$new" || return 1
  one=$({g} commit-tree -p "$old" -m . "$new^{{tree}}") || return 1
  for tip in "$new" "$one"; do {g} cherry "$head" "$tip" "$old"; done | grep -q '^-'
}} 2>/dev/null"""
"""Shell functions: whether the branch has `$new`, whatever a shallow clone shows of it; and whether
it has the same change, or all of them as one, in other commits."""


def _forward(where: Source) -> str:
    """Take the local branch along, when nothing stands in the way (beside a lock, git would move
    the files and not the branch). What was edited here is then in the history alone: say how it is
    taken up again."""
    g, ref = git(where.repository), quote(f"refs/heads/{where.branch}")
    needed = f"{where.remote}/{where.branch} is reverted; here, git pull is needed"
    over = f"&& {g} revert --quit"  # else the next commit finds a revert that is unfinished
    return f"""\
if [ -n "$({locked(where.repository, where.branch)})" ]; then false
elif [ "$({g} symbolic-ref -q HEAD)" = {ref} ]; then
  {g} merge -q --ff-only "$commit" >/dev/null 2>&1
else {g} fetch -q . "$commit":{ref} >/dev/null 2>&1; fi || {{ echo {quote(needed)}; exit 0; }}
[ "$commit" = "$head" ] && [ -z "$(already)" ] ||
  echo {quote(f"{AGAIN} {g} revert --no-commit")} "$({g} rev-parse --short "$commit")" {quote(over)}
"""
