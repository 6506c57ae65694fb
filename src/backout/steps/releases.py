"""`update` by `releases`: a directory for each release, and a link to the one that is live."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from shlex import quote

from backout.errors import NotYet, Refused
from backout.model import Source, Undo
from backout.ports import StepContext
from backout.steps.git import QUIET, UNDO, git, ref, source
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
from backout.steps.script import Facts, read, some, way_back
from backout.steps.whose import in_use


class Releases(Hosted):
    """`repo` (bare), `releases/NUMBER-SHORT`, `shared`, and `current`, switched by one rename."""

    def unready(self, work: StepContext, undo: Undo) -> str:
        live, where = str(undo.data.get("live", "")), source(work)
        if not live.startswith("releases/"):
            return ""
        script = f"""\
{QUIET}
cd -- {quote(directory(where))}
name={quote(live.rpartition("/")[2])}
[ ! -d "releases/$name" ] || [ -e "releases/.unbuilt-$name" ] || exit 0
lost=$( ({_had(where, undo.data)}) 2>&1) || echo "gone=$(echo "$lost" | tail -n 1)"
for why in grown secret; do
  [ ! -e "builds/$name/$why" ] || echo "$why=$(cat "builds/$name/$why")"
done"""
        facts = read(work.transport, script, f"{where.directory} on {work.transport.host.name}")
        return _why_not(live, facts)

    def describe(self, work: StepContext) -> str:
        where = source(work)
        name = release_name(work, work.release.commit or "COMMIT")
        return f"build {where.directory}/releases/{name} and switch {where.directory}/current to it"

    def before(self, work: StepContext) -> Undo:
        where = source(work)
        place = directory(where)
        _shared(where)
        url = public(address(work, where))
        refuse_what_git_leaves_out(work, where)
        live, commit = _look(work, where, place)
        data = {"live": live, "commit": commit or _recorded(work, live), "url": url}
        text = _undo(where, data) if live else _first_undo(work, place)
        summary = f"point {place}/current at {live} again" if live else f"remove {place}/current"
        return way_back(work, text, data, summary)

    def script(self, work: StepContext, where: Source, commit: str) -> str:
        name = release_name(work, commit)
        used = quote(" ".join(sorted(in_use(work))))
        return f"""\
{prepared(work, where, commit)}
{_SWITCH}
previous=$(readlink current || :)
rm -f releases/.unbuilt-{name}
switch releases/{name}
{_retain(_shared(where))}
retain {where.keep} {used} || echo 'old releases could not be removed' >&2"""


_SWITCH = """\
switch() {
  ln -sfn -- "$1" .current.new
  mv -f -T -- .current.new current
  [ "$(readlink current)" = "$1" ] || { echo "current does not point to $1" >&2; exit 1; }
}"""


def _retain(shared: tuple[PurePosixPath, ...]) -> str:
    """A shell function that removes releases beyond the last few. What one holds beyond its
    commit, and no `build` would make again, is on record before it goes."""
    inside = [f"/{path}" for path in shared]
    listed = " ".join(f"-x {quote(path)}" for path in ("__pycache__", *inside))
    spared = " ".join(quote(f":(top,exclude,literal){path}") for path in shared)
    return f"""\
grown() {{
  export GIT_INDEX_FILE="$(pwd)/releases/.grown" GIT_DIR="$(pwd)/repo"
  cd "releases/$1"
  git --work-tree=. read-tree "refs/backout/release-$1" || return 0
  git --work-tree=. update-index -q --refresh >/dev/null || :
  git --work-tree=. diff-files --name-only -- . {spared}
  git --work-tree=. ls-files --others {listed}
}}
{_RETAIN}"""


_RETAIN = """\
retain() {
  set -- "$1" "$2" releases/[0-9]*-*
  [ $# -gt $(($1 + 2)) ] || return 0
  live=$(readlink current) here=$(pwd -P)
  running=$(
    ls -l /proc/[0-9]*/cwd /proc/[0-9]*/exe 2>/dev/null | sed 's/.* -> //'
    cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'
  ) || :
  ls releases | grep -E '^[0-9]+-[0-9a-f]+$' | sort -t - -k 1,1nr | tail -n "+$(($1 + 1))" |
    while read -r old; do
      case releases/$old in "$live" | "$previous") continue ;; esac
      case " $2 " in *" $old "*) continue ;; esac
      case $running in *"$here/releases/$old"*) continue ;; esac # never what something runs from
      [ -e "builds/$old" ] || {
        more=$( (grown "$old") 2>/dev/null | head -n 5)
        [ -z "$more" ] || { mkdir -p "builds/$old"; echo "$more" >"builds/$old/grown"; }
      }
      mv -T "releases/$old" "releases/.building-$old" # never half a release under its name
      rm -rf "releases/.building-$old" "releases/.unbuilt-$old"
    done
  rm -f releases/.grown
}"""


def prepared(work: StepContext, where: Source, commit: str) -> str:
    """Shell text that has the release's directory, whole as it is in git, without going live."""
    name = release_name(work, commit)
    return f"""\
mkdir -p -- {quote(directory(where))}
cd -- {quote(directory(where))}
mkdir -p releases shared{"".join(f" {quote(f'shared/{path}')}" for path in _folders(where))}
git init -q --bare repo
{fetched("repo", where, commit)}
git -C repo update-ref {ref(f"release-{name}")} {commit}
{_build(where)}
for aside in releases/.building-*; do [ ! -e "$aside" ] || rm -rf "$aside"; done
[ -d releases/{name} ] || build {name} {commit}"""


def _build(where: Source) -> str:
    """A shell function that builds a release aside and then gives it its name."""
    links = "\n".join(_link(path) for path in _shared(where))
    return f"""\
{f"{MODULES}{chr(10)}" if where.submodules else ""}\
build() {{
  aside=releases/.building-$1
  [ ! -e "$aside" ] || rm -rf "$aside"
  mkdir "$aside"
  GIT_INDEX_FILE=$(pwd)/$aside.index \\
    git --git-dir=repo --work-tree="$aside" read-tree --reset -u "$2"
{_SUBMODULES if where.submodules else ""}\
  rm -f "$aside.index"
{whole("repo", where, '"$2"', '"$aside"')}
{links}
  mv -T "$aside" "releases/$1"
}}"""


_SUBMODULES = """\
  (
    export GIT_INDEX_FILE="$(pwd)/$aside.index" GIT_DIR="$(pwd)/repo" GIT_WORK_TREE="$(pwd)/$aside"
    cd "$aside"
    modules
    find . -name .git -type f -exec rm -f {} + # a release is no repository
  )
"""


def _link(path: PurePosixPath) -> str:
    """What lies behind a link of the repository is not the release's."""
    up = "../" * (len(path.parts) + 1)
    inside = quote(str(path))
    refused = "".join(_no_link(path, parent) for parent in reversed(path.parents[:-1]))
    return f"""{refused}\
  rm -rf "$aside"/{inside}
  mkdir -p "$aside"/{quote(str(path.parent))}
  ln -s {quote(f"{up}shared/{path}")} "$aside"/{inside}"""


def _no_link(path: PurePosixPath, parent: PurePosixPath) -> str:
    words = f"source.shared: {path} lies behind {parent}, a link in the repository"
    return f"""\
  if [ -L "$aside"/{quote(str(parent))} ]; then echo {quote(words)} >&2; exit 1; fi
"""


def release_name(work: StepContext, commit: str) -> str:
    """How the directory of the release is called."""
    return f"{work.release.number}-{commit[:7]}"


def _why_not(live: str, facts: Facts) -> str:
    """Why a release that is not there, or not whole, cannot be made again."""
    if facts["gone"]:
        return f"{live} is not there to go back to: {facts['gone'][0]}"
    if facts["secret"]:
        return f"{live} was removed, and its build needs {some(facts['secret'])}: {_KEEP_MORE}"
    if facts["grown"]:
        return (
            f"{live} was removed, and what steps built in it cannot be made again"
            f" ({some(facts['grown'])}): build it in a step `build`, or {_KEEP_MORE}"
        )
    return ""


_KEEP_MORE = "keep more releases (source.keep)"


def _shared(where: Source) -> tuple[PurePosixPath, ...]:
    """Paths that every release shares. Raises Refused for one outside the release."""
    paths = tuple(PurePosixPath(text) for text in where.shared)
    for path in paths:
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise Refused(f"source.shared: {path} is not a path within the release")
    return paths


def _folders(where: Source) -> tuple[str, ...]:
    """Shared paths that are written as directories, `log/`: they are made when they are missing."""
    return tuple(text.rstrip("/") for text in where.shared if text.endswith("/"))


def _look(work: StepContext, source: Source, d: str) -> tuple[str, str]:
    """What `current` points to, and its commit; empty before the first deploy. Raises Refused."""
    where = f"{d} on {work.transport.host.name}"
    missing = "".join(
        f"if [ ! -e {quote(f'{d}/shared/{path}')} ]; then echo missing={quote(path)}; fi\n"
        for path in source.shared
        if not path.endswith("/")
    )
    script = f"""\
{QUIET}
command -v git >/dev/null || {{ echo 'git is not installed' >&2; exit 1; }}
if [ -L {quote(d)}/current ]; then
  live=$(readlink {quote(d)}/current)
  kept=refs/backout/release-${{live##*/}}
  echo "live=$live"
  echo "commit=$(git -C {quote(d)}/repo rev-parse -q --verify "$kept" 2>/dev/null)"
elif [ -e {quote(d)}/current ]; then echo 'current is not a link' >&2; exit 1; fi
{missing}"""
    facts = read(work.transport, script, where)
    if facts["missing"]:
        path = facts["missing"][0]
        raise NotYet(
            f"{where}: shared/{path} does not exist, and every release links to it",
            next=f"create {d}/shared/{path} on {work.transport.host.name}",
        )
    return "".join(facts["live"]), "".join(facts["commit"])


def _recorded(work: StepContext, live: str) -> str:
    """The commit of the release that is live, by what is on record; empty for any other."""
    commit = work.previous.commit if work.previous else ""
    return commit if commit and live.endswith(f"-{commit[:7]}") else ""


def _had(where: Source, data: Mapping[str, object]) -> str:
    """Shell text that has the commit of the release that was live, also where it was lost since."""
    live, commit, url = (str(data.get(name, "")) for name in ("live", "commit", "url"))
    repo, kept = f"{directory(where)}/repo", ref(f"release-{live.rpartition('/')[2]}")
    g = git(repo)
    again = f"echo {quote(f'{live} is gone, and so is its commit')} >&2; exit 1"
    if commit:
        init = f"git init -q --bare {quote(repo)}"
        again = f"{init}\n{had_again(repo, where, commit, url)}\n{g} update-ref {kept} {commit}"
    return f"""\
if ! {g} rev-parse -q --verify {kept} >/dev/null 2>&1; then
{again}
fi"""


def _undo(where: Source, data: Mapping[str, str]) -> str:
    """Back to the release that was live, built again when it was pruned meanwhile."""
    live = data["live"]
    parent, _, name = live.rpartition("/")
    lost = f"{{ echo {quote(f'{live} is gone')} >&2; exit 1; }}"
    n, kept = quote(name), ref(f"release-{name}")
    rebuild = f"""\
if [ ! -d {quote(live)} ] || [ -e releases/.unbuilt-{n} ]; then
{_had(where, data)}
  : >releases/.unbuilt-{n}
  rm -rf {quote(live)}
  build {n} {kept}
  for made in builds/{n}/*.sh; do [ ! -e "$made" ] || sh -e "$made"; done
  rm -f releases/.unbuilt-{n}
fi"""
    there = f"[ -d {quote(live)} ] || {lost}"
    return f"""\
{UNDO}
cd -- {quote(directory(where))}
{f"{_build(where)}{chr(10)}{rebuild}" if parent == "releases" else there}
{_SWITCH}
if [ "$(readlink current)" != {quote(live)} ]; then switch {quote(live)}; fi
"""


def _first_undo(work: StepContext, d: str) -> str:
    return f"""\
cd -- {quote(d)} 2>/dev/null || exit 0
case $(readlink current) in releases/{work.release.number}-*) rm -f current ;; esac
"""
