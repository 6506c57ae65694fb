"""HAProxy, asked and told by its runtime socket.

`drain` leaves what is open alone, sends nothing new, and goes on looking whether the server is
well; only a client that a cookie binds to the server is still sent there, and with `out: maint` not
even that one. What a reload of HAProxy forgets is seen by the next look.
"""

from __future__ import annotations

import csv
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from backout.balancers.base import Backend
from backout.model import Member, Options, PoolState, Result, State
from backout.model.operands import Operand

OUT = 0x01 | 0x02 | 0x08 | 0x10 | 0x20 | 0x40
"""The bits of a server's administrative state with which nothing new goes to it. 0x04 only says
that the file had it so."""

MAINTENANCE = 0x01 | 0x02 | 0x20 | 0x40
"""Those of them with which HAProxy does not look at it, and calls it down."""

WEIGHTLESS = "weight 0"

ASK = r"""
ask() {
  case $1 in /*) at=UNIX-CONNECT:$1 ;; *) at=TCP:$1 ;; esac
  if command -v socat >/dev/null 2>&1; then printf '%s\n' "$2" | socat -t 20 - "$at"
  elif command -v perl >/dev/null 2>&1; then perl -e '
    use Socket; my ($at, $text) = @ARGV; my $to;
    if ($at =~ m{^/}) { socket($to, PF_UNIX, SOCK_STREAM, 0); $at = pack_sockaddr_un($at); }
    else { my ($host, $port) = $at =~ m{^(.*):(\d+)$}; socket($to, PF_INET, SOCK_STREAM, 6);
      $at = sockaddr_in($port, inet_aton($host)); }
    connect($to, $at) or die "$ARGV[0]: $!\n";
    syswrite($to, "$text\n"); while (sysread($to, my $said, 65536)) { print $said }' "$1" "$2"
  elif command -v python3 >/dev/null 2>&1; then python3 -c '
import socket, sys
at, text = sys.argv[1:]
unix = at.startswith("/")
to = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
host, _, port = at.rpartition(":")
to.connect(at if unix else (host, int(port)))
to.sendall(text.encode() + b"\n")
while said := to.recv(65536):
    sys.stdout.write(said.decode())' "$1" "$2"
  else echo 'it takes socat, perl or python3 to speak to the socket' >&2; exit 69; fi
}
"""
"""A shell function: what the socket (a path, or ADDRESS:PORT) answers to commands."""


class HAProxyOptions(Options):
    """Where it is asked, and which of its backends is meant."""

    socket: Operand = "/run/haproxy/admin.sock"
    """A `stats socket … level admin`: a path, or ADDRESS:PORT."""
    pool: Operand
    """The `backend` (or `listen`) section that has the servers."""
    out: Literal["drain", "maint"] = "drain"
    """How a server is taken out."""


class HAProxy(Backend):
    """One `backend` of a HAProxy; a member is a `server` in it."""

    Options = HAProxyOptions
    counts: ClassVar[bool] = True

    def look(self) -> PoolState:
        pool = self.balancer.options.pool
        answer = self.read(self._ask(f"show servers state {pool};show stat {pool} 4 -1"))
        states, stats = list(_states(answer)), {row["svname"]: row for row in _stats(answer)}
        if not states or any(row["srv_name"] not in stats for row in states):
            words = answer.strip().splitlines() or ["it says nothing"]
            raise self.unread(f"backend {pool}: {words[0]}")
        layout = (f"{r['srv_name']} {r['srv_addr']}:{r['srv_port']}" for r in states)
        members = tuple(_member(row, stats[row["srv_name"]]) for row in states)
        return PoolState(members, "\n".join(sorted(layout)))

    def apply(self, key: str, wanted: Sequence[Member]) -> Result:
        """Nothing is taken out for one that would get nothing: no state gives it a weight."""
        if none := [each.name for each in wanted if each.takes and each.mark == WEIGHTLESS]:
            why = f"{', '.join(none)} has weight 0 there: give it one, by `set server … weight`"
            return Result(State.FAILED, reason=why)
        return self.change(key, self._ask(self._commands(wanted)))

    def spelled(self, wanted: Sequence[Member]) -> str:
        return self._told("; ".join(self._commands(wanted).split(";")))

    def _commands(self, wanted: Sequence[Member]) -> str:
        options = self.balancer.options
        ordered = sorted(wanted, key=lambda member: not member.takes)
        return ";".join(
            f"set server {options.pool}/{each.name} state {'ready' if each.takes else options.out}"
            for each in ordered
        )

    def _told(self, commands: str) -> str:
        return f"echo '{commands}' | socat - {self.balancer.options.socket}"

    def _ask(self, commands: str) -> str:
        socket = self.balancer.options.socket
        return f"{ASK}ask {shlex.quote(socket)} {shlex.quote(commands)}"


def _states(answer: str) -> Iterator[Mapping[str, str]]:
    """The rows of `show servers state`."""
    lines = iter(answer.splitlines())
    names = next((line[2:].split() for line in lines if line.startswith("# be_id")), [])
    for line in lines:
        if not line.strip():
            return
        yield dict(zip(names, line.split(), strict=False))


def _stats(answer: str) -> Iterator[Mapping[str, str]]:
    """The rows of `show stat`."""
    _, found, table = answer.partition("# pxname,")
    yield from csv.DictReader(f"pxname,{table}".splitlines() if found else ())


def _member(state: Mapping[str, str], stat: Mapping[str, str]) -> Member:
    """The weight that an agent gives is no setting but a finding: another one by the second."""
    admin, agent = int(state["srv_admin_state"]), bool(stat.get("agent_status"))
    weight = state["srv_iweight" if agent else "srv_uweight"]
    looks = bool(stat.get("check_status")) and not admin & MAINTENANCE
    well = state["srv_op_state"] != "0" and (not agent or state["srv_uweight"] != "0")
    answers, failed = _answers(stat)
    return Member(
        name=state["srv_name"],
        takes=not admin & OUT and weight != "0",
        up=well if looks or (agent and not admin & MAINTENANCE) else None,
        wavers=looks and _wavers(stat),
        open=int(stat["scur"] or 0) + int(stat["qcur"] or 0),
        mark=f"weight {weight}",
        asked=answers,
        failed=failed,
        backup=stat.get("bck") == "1",
    )


def _wavers(stat: Mapping[str, str]) -> bool:
    """Whether its looks are not of one mind. Who comes out of maintenance is up until the first one
    has failed, and whoever is up stays so until `fall` of them have."""
    rise, fall, health = (int(stat[f"check_{name}"] or 0) for name in ("rise", "fall", "health"))
    return stat["check_status"] == "INI" or health < rise + fall - 1


def _answers(stat: Mapping[str, str]) -> tuple[int | None, int | None]:
    """How many requests were sent there, and how many of those failed: 5xx answers, and no answer
    or no connection at all. Nobody counts that where `mode tcp` knows no requests."""
    if not stat.get("hrsp_5xx"):
        return None, None
    lost = sum(int(stat[name] or 0) for name in ("econ", "eresp"))
    kinds = (f"hrsp_{kind}" for kind in ("1xx", "2xx", "3xx", "4xx", "5xx", "other"))
    return sum(int(stat[name] or 0) for name in kinds) + lost, int(stat["hrsp_5xx"]) + lost
