"""`update` by `releases`: a directory for each release, and a link to the one that is live."""

from __future__ import annotations

from pathlib import PurePosixPath
from shlex import quote

from backout.errors import Refused
from backout.model import Source, Undo
from backout.ports import Work
from backout.steps.git import QUIET, UNDO, source
from backout.steps.hosted import Hosted, address, directory, fetched, ref
from backout.steps.script import read, way_back


class Releases(Hosted):
    """`repo` (bare), `releases/NUMBER-SHORT`, `shared`, and `current`, switched by one rename."""

    def describe(self, work: Work) -> str:
        where = source(work)
        name = _name(work, work.release.commit or "COMMIT")
        return f"build {where.directory}/releases/{name} and switch {where.directory}/current to it"

    def before(self, work: Work) -> Undo:
        where = source(work)
        place, shared = directory(where), _shared(where)
        address(work, where)
        live = _look(work, where, place)
        text = _undo(place, live, shared) if live else _first_undo(work, place)
        summary = f"point {place}/current at {live} again" if live else f"remove {place}/current"
        return way_back(work, text, {"live": live}, summary)

    def script(self, work: Work, where: Source, commit: str) -> str:
        name = _name(work, commit)
        return f"""\
mkdir -p -- {quote(directory(where))}
cd -- {quote(directory(where))}
mkdir -p releases shared{"".join(f" {quote(f'shared/{path}')}" for path in _folders(where))}
git init -q --bare repo
{fetched("repo", where, commit)}
git -C repo update-ref {ref(f"release-{name}")} {commit}
{_build(_shared(where))}
{_SWITCH}
rm -rf releases/.building-*
previous=$(readlink current || :)
[ -d releases/{name} ] || build {name} {commit}
switch releases/{name}
{_RETAIN}
retain {where.keep} || echo 'old releases could not be removed' >&2"""


_SWITCH = """\
switch() {
  ln -sfn -- "$1" .current.new
  mv -f -T -- .current.new current
  [ "$(readlink current)" = "$1" ] || { echo "current does not point to $1" >&2; exit 1; }
}"""

_RETAIN = """\
retain() {
  live=$(readlink current)
  ls releases | grep -E '^[0-9]+-[0-9a-f]+$' | sort -t - -k 1,1nr | tail -n "+$(($1 + 1))" |
    while read -r old; do
      case releases/$old in "$live" | "$previous") continue ;; esac
      mv -T "releases/$old" "releases/.building-$old" # never half a release under its name
      rm -rf "releases/.building-$old"
    done
}"""


def _build(shared: tuple[PurePosixPath, ...]) -> str:
    """A shell function that builds a release aside and then gives it its name."""
    links = "\n".join(_link(path) for path in shared)
    return f"""\
build() {{
  aside=releases/.building-$1
  rm -rf "$aside"
  mkdir "$aside"
  GIT_INDEX_FILE=$(pwd)/$aside.index \\
    git --git-dir=repo --work-tree="$aside" read-tree --reset -u "$2"
  rm -f "$aside.index"
{links}
  mv -T "$aside" "releases/$1"
}}"""


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


def _name(work: Work, commit: str) -> str:
    return f"{work.release.number}-{commit[:7]}"


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


def _look(work: Work, source: Source, d: str) -> str:
    """What `current` points to; empty before the first deploy. Raises Refused."""
    where = f"{d} on {work.transport.host.name}"
    missing = "".join(
        f"if [ ! -e {quote(f'{d}/shared/{path}')} ]; then echo missing={quote(path)}; fi\n"
        for path in source.shared
        if not path.endswith("/")
    )
    script = f"""\
{QUIET}
command -v git >/dev/null || {{ echo 'git is not installed' >&2; exit 1; }}
if [ -L {quote(d)}/current ]; then echo "live=$(readlink {quote(d)}/current)"
elif [ -e {quote(d)}/current ]; then echo 'current is not a link' >&2; exit 1; fi
{missing}"""
    facts = read(work.transport, script, where)
    if facts["missing"]:
        path = facts["missing"][0]
        raise Refused(
            f"{where}: shared/{path} does not exist, and every release links to it",
            next=f"create {d}/shared/{path} there",
        )
    return "".join(facts["live"])


def _undo(d: str, live: str, shared: tuple[PurePosixPath, ...]) -> str:
    """Back to the release that was live, built again when it was pruned meanwhile."""
    parent, _, name = live.rpartition("/")
    kept, lost = ref(f"release-{name}"), f"{{ echo {quote(f'{live} is gone')} >&2; exit 1; }}"
    rebuild = f"""\
if [ ! -d {quote(live)} ]; then
  git -C repo rev-parse -q --verify {kept} >/dev/null || {lost}
  build {quote(name)} {kept}
fi"""
    there = f"[ -d {quote(live)} ] || {lost}"
    return f"""\
{UNDO}
cd -- {quote(d)}
{f"{_build(shared)}{chr(10)}{rebuild}" if parent == "releases" else there}
{_SWITCH}
if [ "$(readlink current)" != {quote(live)} ]; then switch {quote(live)}; fi
"""


def _first_undo(work: Work, d: str) -> str:
    return f"""\
cd -- {quote(d)} 2>/dev/null || exit 0
case $(readlink current) in releases/{work.release.number}-*) rm -f current ;; esac
"""
