"""`update` by `checkout`: the directory is a repository whose HEAD is the release."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote

from backout.errors import Refused
from backout.model import Command, Source, Undo
from backout.ports import StepContext
from backout.steps.git import (
    QUIET,
    UNDO,
    checked_out,
    git,
    locked,
    ref,
    refuse_a_lock,
    source,
)
from backout.steps.hosted import (
    MODULES,
    Hosted,
    address,
    directory,
    fetched,
    had_again,
    public,
    refuse_what_git_leaves_out,
    whole,
)
from backout.steps.script import LOOK, Facts, output, read, some, way_back, words

MANY = 2000
"""So many new files are looked for beforehand; more are when the update acts, before it does."""


class Checkout(Hosted):
    """Untracked files are never touched, changed ones never overwritten."""

    def unready(self, work: StepContext, undo: Undo) -> str:
        """The commit is fetched where the clone has lost it: that moves nothing yet. A lock is in
        its way, but for one of an update that was killed, which it settles."""
        where, commit, url = source(work), undo.data.get("commit"), undo.data.get("url")
        if not (commit and url):
            return ""
        d = quote(directory(where))
        text = had_again(directory(where), where, str(commit), str(url))
        own = f"[ -e {d}/.git/BACKOUT_MOVE ] || {{ {locked(directory(where))}; }}"
        asked = Command(f"{UNDO}\n[ -e {d}/.git ] || exit 0\n{text}\n{own}", timeout=LOOK)
        result = work.transport.run(asked)
        if not result.ok:
            return words(result) or result.reason
        lock = result.stdout.partition("locked=")[2].strip()
        return f"another git is at work there, or one was killed: rm {quote(lock)}" if lock else ""

    def describe(self, work: StepContext) -> str:
        where = source(work)
        return f"{git(where.directory)} checkout --detach {work.release.commit or 'COMMIT'}"

    def before(self, work: StepContext) -> Undo:
        where = source(work)
        place = directory(where)
        url = address(work, where)
        refuse_what_git_leaves_out(work, where)
        facts = _look(work, where, place)
        refuse_a_lock(facts, work.transport.host.name)
        _refuse_changes(work, place, facts)
        if not facts["head"]:
            _refuse_collisions(work, where, place)
            summary = f"git: remove what this run put into {place}"
            return way_back(work, _first_undo(work, where), {"commit": ""}, summary)
        _refuse_what_is_in_the_way(work, where, place, facts["head"][0])
        commit, branch = facts["head"][0], facts["branch"][0]
        data = {"commit": commit, "branch": branch, "url": public(url)}
        summary = f"git: check {commit[:7]} out again in {place}"
        return way_back(work, _undo(work, where, data), data, summary)

    def script(self, work: StepContext, where: Source, commit: str) -> str:
        d = directory(where)
        g = git(d)
        return f"""\
mkdir -p {_operand(d)}
if [ ! -e {quote(d)}/.git ]; then
  git init -q {_operand(d)}
  {g} config backout.made {quote(work.run)}
fi
{fetched(d, where, commit)}
{_move(d, where, work.run)}
if from=$({g} rev-parse -q --verify HEAD); then {g} update-ref {ref(work.run)} "$from"
else
  from=$({g} hash-object -t tree /dev/null)
  {g} config backout.head "$({g} symbolic-ref -q HEAD)"
  {g} config backout.first {quote(work.run)}
fi
move {commit}
[ "$({g} rev-parse HEAD)" = {commit} ] || {{ echo 'HEAD is another commit' >&2; exit 1; }}
{whole(d, where, commit, quote(d))}"""


def _operand(path: str) -> str:
    """A path that no command can take for an option."""
    return quote(path if path.startswith("/") else f"./{path}")


_LEFT = """\
left() {
  git -C "$1" -c core.quotePath=false ls-files -s | sed -n 's/^160000 [0-9a-f]* 0.//p' |
    while IFS= read -r f; do
      case $(git -C "$1" --literal-pathspecs ls-tree "$to" -- "$f") in 160000*) continue ;; esac
      [ -f "$1/$f/.git" ] && [ ! -L "$1/$f" ] || continue
      if [ -z "$(git -C "$1/$f" status --porcelain --ignored)" ]; then rm -rf -- "$1/$f"
      else mv -T -- "$1/$f" "$1/$f.$2" && echo "$f is kept as $f.$2"; fi
    done
}"""
"""A shell function that takes away the submodules which `$to` has no more: git leaves them where
they are, for whatever looks there, and in the way of the next release that brings them."""


def _move(d: str, where: Source, aside: str, *, back: bool = False) -> str:
    """Shell functions that go from `$from` to a commit, whole or not at all. Where a kill left
    one half way, a mark remains, and `settle` finishes it. No hook of the repository holds up
    the way `back`."""
    g = git(d)
    there = f'[ "$({g} rev-parse HEAD)" = "$1" ] && [ -z "$(changed)" ]'
    lacking = ' || [ "${settling-}" ]' if back else ""  # it is about to go on to another commit
    dirty = f"! {g} diff --quiet --ignore-submodules=all HEAD"
    return f"""\
{f"{MODULES}{chr(10)}{_LEFT}" if where.submodules else ""}
{_changed(d)}
filtered() {{ {dirty} && [ -z "$(changed)" ]; }}
mark=$({g} rev-parse --absolute-git-dir)/BACKOUT_MOVE
place() {{
  to=$1
  echo "$1" >"$mark.new"; mv -f -- "$mark.new" "$mark"
  {f"left {quote(d)} {quote(aside)}" if where.submodules else ":"}
  {g} checkout -q -f --detach "$1"{f" || {{ {there}; }}" if back else ""}
  {f"(cd -- {quote(d)} && modules){lacking}" if where.submodules else ":"}
  rm -f -- "$mark"
}}
move() {{
  taken=$({_unknown(d, '"$1"', 'echo "$f"')} | sort -u)
  hidden=$({_hidden(d)})
  if [ -n "$taken" ]; then
    echo "in the way, and not known to git:" $taken {quote(_CURE)} >&2; exit 1
  fi
  if [ -n "$hidden" ]; then
    echo "told to look unchanged (git update-index), and the release changes them:" $hidden >&2
    exit 1
  fi
  {g} update-index -q --refresh >/dev/null || :
  said=$({g} read-tree -n -m -u "$from" "$1" 2>&1) || filtered || {{ echo "$said" >&2; exit 1; }}
  place "$1"
}}
settle() {{
  [ -e "$mark" ] || return 0
  rm -f -- "${{mark%/*}}/index.lock" "${{mark%/*}}/HEAD.lock"
  settling=yes
  place "$(cat "$mark")"
  settling=
}}"""


_SAME = """\
same() {
  [ -f "$1" ] && [ ! -L "$1" ] && git cat-file --filters "HEAD:$1" 2>/dev/null | cmp -s - "$1"
}"""
"""A shell function: whether a file is what git writes for the commit. git may call it changed all
the same: a filter that does not lead back, such as `text` for a file that has CRLF in git. Where
`_moved` says something it is another mode, or a file that came or went: that was somebody."""


def _moved(d: str) -> str:
    return f'[ -n "$({git(d)} --no-optional-locks diff --summary --ignore-submodules=all HEAD)" ]'


def _changed(d: str) -> str:
    """Shell functions; `changed` says something where somebody may have changed a file."""
    listed = f"{git(d)} -c core.quotePath=false diff --name-only --ignore-submodules=all HEAD"
    return f"""\
{_SAME}
changed() {{
  names=$({listed}) || names='nobody can tell'
  if [ -z "$names" ]; then return; fi
  if {_moved(d)}; then echo "$names"; return; fi
  printf '%s\\n' "$names" |
    (cd -- {quote(d)} && while IFS= read -r f; do same "$f" || {{ echo "$f"; break; }}; done)
}}"""


_CURE = "(move it away, or keep it out of the commit)"

_IN_THE_WAY = r"""
known() { [ -n "$(git --literal-pathspecs ls-files "$@" | head -n 1)" ]; }
blocks() {
  [ -L "$f" ] || [ ! -d "$f" ] || ! known -- "$f" || known --others -- "$f"
}
for name; do
  f= rest=$name/
  while [ -n "$rest" ]; do
    f=$f${f:+/}${rest%%/*} rest=${rest#*/}
    [ -e "$f" ] || [ -L "$f" ] || break
    if [ -n "$rest" ]; then
      if [ -L "$f" ] || [ ! -d "$f" ]; then known -- "$f" || DO; break; fi
    elif blocks; then DO; fi
  done
done"""
"""Of each path that a commit brings: what stands there, or instead of a directory above it, and
is not git's. Ignored files and links count; so does a directory that holds anything of its own."""


def _unknown(d: str, to: str, do: str) -> str:
    """Shell text that does `do` for each `$f` that going from `$from` to `to` would overwrite and
    that git does not know."""
    loop = _IN_THE_WAY.replace("DO", do)
    return (
        f'{git(d)} diff-tree -r -z --no-renames --name-only --diff-filter=A "$from" {to} |'
        f" (cd -- {quote(d)} && xargs -0 sh -c {quote(loop)} sh)"
    )


def _hidden(d: str) -> str:
    """Shell text that lists the files which differ between `$from` and `$1` and whose changes
    here git was told not to see. What a sparse checkout leaves out is not there."""
    g = f"{git(d)} -c core.quotePath=false --literal-pathspecs"
    there = 'while IFS= read -r f; do if [ -e "$f" ] || [ -L "$f" ]; then echo "$f"; fi; done'
    return (
        f'{g} diff-tree -r -z --name-only --diff-filter=MDT "$from" "$1" |'
        f" xargs -0 -r {g} ls-files -v -- | sed -n 's/^[a-zS] //p' | (cd -- {quote(d)} && {there})"
    )


def _look(work: StepContext, where: Source, d: str) -> Facts:
    g, here = git(d), work.transport.host.name
    script = f"""\
{QUIET}
if [ ! -e {quote(d)} ]; then exit 0; fi
if [ ! -d {quote(d)} ]; then echo 'it is not a directory' >&2; exit 1; fi
if [ -e {quote(d)}/.git ]; then
  {g} rev-parse --git-dir >/dev/null
  if head=$({g} rev-parse -q --verify HEAD); then
    echo "head=$head"
    echo "branch=$({checked_out(d)})"
  fi
  {locked(d)}
  {_SAME}
  {g} --no-optional-locks -c core.quotePath=false status --porcelain --untracked-files=no \\
    --ignore-submodules=untracked |
    (cd -- {quote(d)} && moved= && while IFS= read -r line; do
      case $line in ' M '*)
        [ -n "$moved" ] || if {_moved(d)}; then moved=yes; else moved=no; fi
        [ $moved = yes ] || ! same "${{line#???}}" || continue ;;
      esac
      printf 'changed=%s\\n' "${{line#???}}"
    done)
fi"""
    return read(
        work.transport,
        f"command -v git >/dev/null || {{ echo 'git is not installed' >&2; exit 1; }}\n{script}",
        f"{where.directory} on {here}",
    )


def _refuse_changes(work: StepContext, d: str, facts: Facts) -> None:
    if names := facts["changed"]:
        raise Refused(
            f"changed by hand in {d} on {work.transport.host.name}: {some(names)}",
            next=f"look at them there: {git(d)} diff",
        )


def _refuse_what_is_in_the_way(work: StepContext, where: Source, d: str, head: str) -> None:
    """As far as it can be known now: what an earlier step commits, the update sees for itself."""
    g, commit = git(where.repository), quote(work.release.commit)
    listed = "-z --no-renames --name-only --diff-filter=A"
    script = f"""\
{QUIET}
{{
  {g} diff-tree -r {listed} {head} {commit} || exit 0
  if [ "$({g} rev-parse HEAD)" = {commit} ]; then {g} diff-index --cached {listed} {head}; fi
}} 2>/dev/null"""
    brought = output(work.here, script, where.repository).split("\0")[:-1]
    if not brought or len(brought) > MANY:
        return
    look = _IN_THE_WAY.replace("DO", 'echo "name=$f"')
    named = f"cd -- {quote(d)}; set -- {' '.join(map(quote, brought))}\n{look}"
    what = f"{d} on {work.transport.host.name}"
    if names := list(dict.fromkeys(read(work.transport, f"{QUIET}\n{named}", what)["name"])):
        raise Refused(
            f"{what}: the release would overwrite what git does not know there: {some(names)}",
            next=f"move it away there, or keep it out of the commit: {git(d)} status --ignored",
        )


def _refuse_collisions(work: StepContext, where: Source, d: str) -> None:
    """A first deploy into a directory that holds something must not overwrite it. Directories
    on both sides are compared when the commit is there."""
    g = git(where.repository)
    commit = work.release.commit or "HEAD"
    listed = output(work.here, f"{g} ls-tree -z --full-tree {commit}", f"commit {commit}")
    entries = [entry.partition("\t") for entry in listed.split("\0") if entry]
    checks = "\n".join(
        f"if {_in_the_way(f'{d}/{name}', tree=' tree ' in about)}; then echo name={quote(name)}; fi"
        for about, _, name in entries
    )
    what = f"{d} on {work.transport.host.name}"
    if names := read(work.transport, f"{checks}\n:", what)["name"]:
        raise Refused(
            f"{what} is no repository, and the first deploy would overwrite: {some(names)}",
            next="move them away, or make it a clone of the repository",
        )


def _in_the_way(path: str, *, tree: bool) -> str:
    p = quote(path)
    there = f"[ -e {p} ] || [ -L {p} ]"
    return f"{{ {there}; }} && {{ [ -L {p} ] || [ ! -d {p} ]; }}" if tree else there


def _undo(work: StepContext, where: Source, data: Mapping[str, str]) -> str:
    d, commit, branch = directory(where), data["commit"], data["branch"]
    g = git(d)
    kept = f"what was changed there meanwhile is kept: {g} stash list"
    text = f"""\
{UNDO}
{_move(d, where, work.run, back=True)}
settle
if [ -n "$(changed)" ]; then
  {g} -c user.name=Backout -c user.email=backout@localhost stash push -q -m {quote(work.run)}
  echo {quote(kept)}
fi
from=$({g} rev-parse HEAD)
if [ "$from" != {commit} ]; then
{had_again(d, where, commit, data["url"])}
  {_unknown(d, commit, _aside(work))}
  move {commit}
fi
"""
    if not branch:
        return text
    head = quote(f"refs/heads/{branch}")
    return f"""{text}\
if [ "$({g} rev-parse -q --verify {head})" = {commit} ]; then {g} symbolic-ref HEAD {head}; fi
"""


def _aside(work: StepContext) -> str:
    """Shell text that keeps `$f` under another name."""
    return f'mv -- "$f" "$f".{quote(work.run)} && echo "$f is kept as $f".{quote(work.run)}'


def _first_undo(work: StepContext, where: Source) -> str:
    """Only what this very run put there is taken away: a repository that was there stays, on the
    branch that had no commit yet. What was changed since is kept beside it."""
    d = directory(where)
    g, run = git(d), quote(work.run)
    loop = f"for f; do {{ {_aside(work)}; }} || exit 1; done"
    return f"""\
{UNDO}
if [ ! -e {quote(d)}/.git ]; then exit 0; fi
if [ "$({g} config backout.first)" != {run} ]; then exit 0; fi
{_move(d, where, work.run, back=True)}
settle
if {g} rev-parse -q --verify HEAD >/dev/null; then
  {g} read-tree --reset HEAD # what others staged is theirs
  for hidden in assume-unchanged skip-worktree; do
    {g} ls-files -z | {g} update-index -z --no-$hidden --stdin
  done
  {g} update-index -q --refresh >/dev/null || :
  {g} diff-files -z --name-only --diff-filter=MT --ignore-submodules=all |
    (cd -- {quote(d)} && xargs -0 sh -c {quote(loop)} sh)
  {g} rm -r -q -f --ignore-unmatch -- .
fi
if [ "$({g} config backout.made)" = {run} ]; then
  {_history_away(d, work.run)}
  exit 0
fi
{g} symbolic-ref HEAD "$({g} config backout.head)"
{g} config --remove-section backout
"""


def _history_away(d: str, run: str) -> str:
    """Shell text that removes the repository; one that others wrote to is kept aside: it has a
    branch or a stash, or HEAD was moved by more than we do."""
    g, kept = git(d), f".git.{run}"
    words = f"what others committed or stashed in {d} is kept: git --git-dir={quote(f'{d}/{kept}')}"
    return f"""\
others=$({g} for-each-ref refs/heads refs/tags refs/stash)$(
    {g} log -g --format=%gs HEAD -- 2>/dev/null | grep -Ev '^(checkout|reset): ') || :
  if [ -z "$others" ]; then rm -rf {quote(d)}/.git
  else mv -T -- {quote(d)}/.git {quote(f"{d}/{kept}")}; echo {quote(words)}; fi"""
