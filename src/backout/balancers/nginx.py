"""nginx: an upstream's file, written whole, tested and loaded.

A member that is out has `down` behind it. What the file says is not yet what nginx does: the
workers that run must have begun after the file was last changed, and old ones that shut down still
hold what is open.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from backout.balancers.base import ESTABLISHED, Backend, sections
from backout.model import Member, Options, PoolState, Result, State
from backout.model.operands import Operand

SLACK = 0.05
"""Seconds by which the beginning of a process may be told wrongly."""
SHUTTING = "is shutting down"

LOOK = r"""
exec 9< "$(dirname "$real")"
flock -s 9
master=$(cat "$pid") && [ -d "/proc/$master" ] || { echo "nginx does not run: $pid" >&2; exit 1; }
echo "=== clock"
echo "$(date +%s.%N) $(cut -d' ' -f1 /proc/uptime) $(getconf CLK_TCK) $(stat -c %.Y "$real")"
echo "=== workers"
listed() {
  for child in $(cat "/proc/$master/task/$master/children"); do
    ticks=$(sed 's/.*) //' "/proc/$child/stat" 2>/dev/null | cut -d' ' -f20) || continue
    echo "$ticks $(tr '\0' ' ' < "/proc/$child/cmdline")"
  done
}
for n in $(seq 20); do
  workers=$(listed)
  case $(printf '%s\n' "$workers" | grep -v 'shutting down') in *"worker process"*) break ;; esac
  sleep 0.1
done
printf '%s\n' "$workers"
"""
"""An nginx that has just been started, or loaded anew, has a worker in a moment."""

FILE = """
echo "=== file"
cat "$file"
"""

APPLY = r"""
exec 9< "$(dirname "$real")"
flock 9
new=${real%/*}/.${real##*/}.backout.$$
trap 'rm -f "$new" "$new.was" "$new.next"' EXIT
cp -p "$real" "$new"; cp -p "$real" "$new.was"
change() {
  before=$1 after=$2 awk '$0 == ENVIRON["before"] { print ENVIRON["after"]; n++; next } { print }
    END { exit n != 1 }' "$new" > "$new.next" || {
    echo "$file was changed by hand meanwhile, and is left as it is: it has no such line: $1" >&2
    exit 75; }
  cat "$new.next" > "$new"
}
workers() {
  for child in $(cat "/proc/$master/task/$master/children"); do
    case $(tr '\0' ' ' < "/proc/$child/cmdline" 2>/dev/null) in
    *"shutting down"*) ;; *"worker process"*) echo "$child" ;; esac
  done
}
renewed() {
  now=$(workers); [ -n "$now" ] || return 1
  for old in $before; do case " $(echo $now) " in *" $old "*) return 1 ;; esac; done
}
"""
LOAD = r"""
mv "$new" "$real"
back() { mv "$new.was" "$real"; echo "$1; $file is as it was" >&2; exit 1; }
said=$($test 2>&1) || back "$said"
$dump 2>/dev/null | grep -qF "# configuration file $file:" || back "nginx does not read $file"
master=$(cat "$pid"); before=$(workers)
sleep 0.1
$reload || back "nginx was not reloaded"
for n in $(seq 100); do renewed && exit 0; sleep 0.1; done
[ "$(workers)" = "$before" ] || touch "$new.was"
mv "$new.was" "$real"
sleep 0.1
$reload
echo "the workers of nginx have not taken $file within 10 s: see its error log; it is as it was" >&2
exit 1
"""
"""What has not been taken is taken back, and nginx told so: the next look would find a file that
nobody has read. Where some worker may have read it, the file is as new as that it was put back."""


class NginxOptions(Options):
    """The file of the upstream, and how nginx is called."""

    file: Operand
    """What has the `upstream` block and is included in nginx's configuration; one server a line."""
    pool: Operand
    """The name of the upstream."""
    program: str = "nginx"
    """How nginx is called: `sudo -n nginx`, `nginx -c /srv/nginx.conf`."""
    pid: Operand = "/run/nginx.pid"
    """Where its master has its process id."""


@dataclass(frozen=True, slots=True)
class Line:
    """A server of the upstream, as its file has it."""

    text: str
    names: tuple[str, ...]
    """Its address, and the comment behind it."""
    words: tuple[str, ...]
    """What stands behind the address, `down` apart."""
    down: bool

    def set_down(self, down: bool) -> str:
        """The same line with or without `down`."""
        if down == self.down:
            return self.text
        if down:
            return _SERVER.sub(r"\1\2\3 down\4\5", self.text)
        return re.sub(r"\s+down(?=[\s;])", "", self.text, count=1)


_SERVER = re.compile(r"^(\s*server\s+)([^\s;#]+)([^;#]*?)(\s*;)(\s*(?:#.*)?)$")


class Nginx(Backend):
    """One upstream of an nginx; a member is a `server` in it, by its address or by the comment
    behind it."""

    Options: ClassVar[type[Options]] = NginxOptions

    def look(self) -> PoolState:
        text = f"{self._names()}{LOOK}{ESTABLISHED}{FILE}"
        found = sections(self.read(text))
        old = self._loaded(found)
        lines = list(self._lines(found["file"]))
        file, pool = self._options.file, self._options.pool
        if not lines:
            raise self.unread(f"{file} has no servers in upstream {pool}")
        links = Counter(found["links"].split()) if "none" not in found["links"] else None
        layout = "\n".join(self._plain(found["file"]))
        return PoolState(tuple(_member(each, old, links) for each in lines), layout)

    def apply(self, key: str, wanted: Sequence[Member]) -> Result:
        text = self.read(f"cat {shlex.quote(self._options.file)}")
        lines = {name: line for line in self._lines(text) for name in line.names}
        if lacking := [each.name for each in wanted if each.name not in lines]:
            words = f"was changed by hand meanwhile, and has no {', '.join(lacking)}"
            return Result(State.FAILED, reason=f"{self._options.file} {words}")
        pairs = [(lines[e.name].text, lines[e.name].set_down(not e.takes)) for e in wanted]
        changes = "".join(f"change {shlex.join(pair)}\n" for pair in pairs if pair[0] != pair[1])
        program = self._options.program
        calls = f"test='{program} -t' dump='{program} -T' reload='{program} -s reload'\n"
        return self.change(key, f"{self._names()}{calls}{APPLY}{changes}{LOAD}")

    def spelled(self, wanted: Sequence[Member]) -> str:
        told = (f"{e.name} {'without' if e.takes else 'with'} `down`" for e in wanted)
        return f"in {self._options.file}: {', '.join(told)}; then {self._options.program} -s reload"

    @property
    def _options(self) -> NginxOptions:
        options: NginxOptions = self.balancer.options
        return options

    def _names(self) -> str:
        """The file as nginx calls it, and where it is: beside that nothing is written that an
        `include sites-enabled/*` would read."""
        options = self._options
        named = f"file={shlex.quote(options.file)} pid={shlex.quote(options.pid)}\n"
        return f'{named}real=$(readlink -f -- "$file")\n'

    def _loaded(self, found: Mapping[str, str]) -> bool:
        """Whether old workers still serve. Raises Refused where the new ones may lack the file."""
        now, up, hz, changed = map(float, found["clock"].split())
        rows = [row.partition(" ") for row in found["workers"].splitlines()]
        workers = [(ticks, title) for ticks, _, title in rows if "worker process" in title]
        active = [now - up + float(ticks) / hz for ticks, title in workers if SHUTTING not in title]
        file = self._options.file
        if not active:
            raise self.unread("nginx has no worker that serves")
        if min(active) + SLACK < changed:
            raise self.unread(f"{file} was changed after nginx had read it: reload nginx first")
        return len(active) < len(workers)

    def _lines(self, text: str) -> Iterator[Line]:
        """The servers of the upstream."""
        inside = False
        for row in text.split("\n"):
            if re.match(rf"\s*upstream\s+{re.escape(self._options.pool)}\s*\{{", row):
                inside = True
            elif inside and row.strip().startswith("}"):
                return
            elif inside and (found := _SERVER.match(row)):
                words = found[3].split()
                names = (found[2], *found[5].strip().lstrip("# ").split()[:1])
                kept = tuple(word for word in words if word != "down")
                yield Line(row, names, kept, "down" in words)
            elif inside and re.match(r"\s*server\s", row):
                raise self.unread(f"a server a line, and this is another: {row.strip()}")

    def _plain(self, text: str) -> Iterator[str]:
        """The file as it is when nobody is out."""
        servers = {line.text: line.set_down(False) for line in self._lines(text)}
        yield from (servers.get(row, row) for row in text.split("\n"))


def _far_end(address: str) -> str:
    """An address as `ss` has it, with the port that nginx takes unless told; empty for a name, or
    a socket, of which nobody can tell what is connected there."""
    host, _, port = address.rpartition(":") if re.search(r":\d+$", address) else (address, "", "80")
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return ""
    return f"{host}:{port}"


def _member(line: Line, old: bool, links: Counter[str] | None) -> Member:
    """What is open is what is connected there; a member that is out has nothing once the workers
    that knew it are gone."""
    far = _far_end(line.names[0])
    count = links[far] if links is not None and far else None
    still = 0 if line.down and not old else count
    mark, backup = " ".join(line.words) or "weight=1", "backup" in line.words
    return Member(line.names[-1], not line.down, None, still, mark, backup=backup)
