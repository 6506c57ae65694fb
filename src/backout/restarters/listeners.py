"""Who holds a listening port: the service, or an orphan of the release before it.

The machine lists its listening sockets of that port and every process that holds one, with its
ancestors and control groups. Which of them are the service's, only its backend can say. What
cannot be seen is never taken for proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from backout.model import Identity
from backout.restarters.backend import quote, section

SECTION = "listeners"
ANYWHERE = {"00000000", "0" * 32}
"""0.0.0.0 and :: as /proc/net writes them."""

_SCAN = r"""
set -e
[ -r /proc/net/tcp ]
sockets=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port="$port" '
  split($2, local, ":") == 2 && $4 == "0A" && local[2] == port { print local[1], $10 }')
[ -n "$sockets" ] || { echo searched; exit 0; }
printf '%s\n' "$sockets" | sed 's/^/socket /'
descriptors=
[ -z "$sudo" ] || descriptors=$(sudo -n ls -l /proc/[0-9]*/fd 2>/dev/null) || :
[ -n "$descriptors" ] || descriptors=$(ls -l /proc/[0-9]*/fd 2>/dev/null) || :
printf '%s\n' "$descriptors" | awk -v sockets="$(echo $sockets)" '
  BEGIN {
    n = split(sockets, word)
    for (i = 2; i <= n; i += 2) inode["socket:[" word[i] "]"] = word[i]
  }
  /^\/proc\// { split($0, part, "/"); pid = part[3] }
  $NF in inode && !seen[pid, $NF]++ { print inode[$NF], pid }' | while read -r inode pid; do
  line=$pid parent=$pid
  while parent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$parent/status" 2>/dev/null)
    [ "${parent:-0}" -gt 0 ]; do line="$line,$parent"; done
  name=$(tr -d '\n' < "/proc/$pid/comm" 2>/dev/null) || name=
  groups=$(cut -d: -f3- "/proc/$pid/cgroup" 2>/dev/null | tr '\n' ':') || groups=
  stat=; { IFS= read -r stat <"/proc/$pid/stat"; } 2>/dev/null || :
  set -- ${stat##*) }
  echo "since $pid ${20-}"
  echo "holder $inode $line $groups $name"
done
echo searched
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds a listening socket."""

    line: tuple[int, ...]
    """Its process id, its parent's, and so on up."""
    groups: tuple[str, ...]
    """Its control groups."""
    name: str
    start: int | None = None
    """When it started, in the kernel's ticks; None where that cannot be seen."""

    def descends_from(self, pids: Iterable[int]) -> bool:
        """True for one of these processes and for their descendants."""
        return not set(pids).isdisjoint(self.line)

    def within(self, group: str) -> bool:
        """True in this control group and below it."""
        return any(g == group or g.startswith(group + "/") for g in self.groups)

    def __str__(self) -> str:
        return f"process {self.line[0]} ({self.name})"


@dataclass(slots=True)
class _Socket:
    address: str
    holders: list[Holder] = field(default_factory=list)

    def meets(self, other: _Socket) -> bool:
        """True when a connection to one of them may reach the other."""
        return self.address == other.address or not ANYWHERE.isdisjoint(
            (self.address, other.address)
        )


def scan(port: int | str | None, *, sudo: bool = False) -> str:
    """Shell text that lists who listens on `port`, as a section; nothing without a port."""
    if port is None:
        return ""
    look = quote("sh", "-c", f"port={int(port):04X} sudo={'yes' if sudo else ''}{_SCAN}")
    return f"{section(SECTION)}\n{look} || :"


def judge(
    found: Mapping[str, str],
    port: int | str | None,
    identity: Identity,
    ours: Callable[[Holder], bool],
    stale: Callable[[Holder], bool] = lambda _: False,
) -> Identity:
    """`identity`, up only if its process was seen to hold the port, alone. Whatever keeps a
    service from ever holding it stands in its way. `stale` is what was left over of it when it
    was started anew."""
    if port is None or not (identity.up or SECTION in found):
        return identity
    doubt = _doubt(found.get(SECTION, ""), int(port), ours, stale)
    if not doubt.words:
        return identity
    if identity.up:
        words = f"it runs, but {doubt}"
        detail = f"{identity.detail}; {doubt.words}"
        return replace(identity, up=False, detail=detail, obstacle=words)
    return replace(identity, obstacle=identity.obstacle or str(doubt)) if doubt.lasts else identity


def holders(found: Mapping[str, str]) -> frozenset[int]:
    """The processes that hold the port."""
    sockets = _sockets(found.get(SECTION, ""))
    return frozenset(holder.line[0] for socket in sockets for holder in socket.holders)


@dataclass(frozen=True, slots=True)
class _Doubt:
    words: str = ""
    cure: str = ""
    lasts: bool = True
    """Whether it holds also of a service that is not up."""

    def __str__(self) -> str:
        return f"{self.words}: {self.cure}"


def _doubt(
    text: str, port: int, ours: Callable[[Holder], bool], stale: Callable[[Holder], bool]
) -> _Doubt:
    sockets = _sockets(text)
    if "searched" not in text.splitlines():
        words = f"cannot tell who listens on port {port}: /proc/net/tcp could not be searched"
        return _Doubt(words, "leave service.port out there")
    if not sockets:
        cure = "correct service.port or leave it out, or stop what hangs"
        return _Doubt(f"nothing listens on port {port}", cure, lasts=False)
    for left in (holder for socket in sockets for holder in socket.holders if stale(holder)):
        words = f"port {port} is still held by {left}, which was left over from before its start"
        return _Doubt(words, f"kill {left.line[0]}; KillMode= of its unit says what outlives it")
    own = [socket for socket in sockets if any(map(ours, socket.holders))]
    others = [s for s in sockets if s not in own and (not own or any(map(s.meets, own)))]
    strangers = [socket for socket in others if socket.holders]
    if strangers:
        words = f"port {port} is held by {strangers[0].holders[0]}, which is not this service"
        return _Doubt(words, "stop that process, or correct service.port")
    if others:
        words = f"cannot tell who listens on port {port}: not permitted to see its process"
        return _Doubt(words, "`sudo: true` of the service, or its own user, lets Backout see it")
    return _Doubt()


def _sockets(text: str) -> list[_Socket]:
    found: dict[str, _Socket] = {}
    starts: dict[str, int] = {}
    for line in text.splitlines():
        match line.split(" ", 4):
            case ["socket", address, inode]:
                found[inode] = _Socket(address)
            case ["since", pid, ticks] if ticks.isdigit():
                starts[pid] = int(ticks)
            case ["holder", inode, pids, groups, name] if inode in found:
                line_of = pids.split(",")
                ancestors, start = tuple(map(int, line_of)), starts.get(line_of[0])
                holder = Holder(ancestors, tuple(groups.split(":")), name, start)
                found[inode].holders.append(holder)
    return list(found.values())
