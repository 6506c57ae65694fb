"""Caddy: its admin API, asked and told.

A member that is out is moved to another `reverse_proxy`, of a route that matches nothing: Caddy
goes on counting what is open there, and who is out can be seen. Both moves are one change of the
configuration, made only if it still is what was read.
"""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

from backout.balancers.base import Backend, sections
from backout.model import Member, Options, PoolState, Result
from backout.model.operands import Operand
from backout.model.values import cut

APPS = "/config/apps/http"
"""What is read and written: the HTTP servers; certificates and their keys stand elsewhere."""

ASK = r"""
ask() {
  curl -q --noproxy '*' -sS --fail-with-body --max-time 20 -H 'Content-Type: application/json' "$@"
}
get() {
  for n in 1 2 3 4 5; do
    if said=$(ask "$@") && [ -n "$said" ]; then printf '%s\n' "$said"; return 0; fi
    sleep 0.2
  done
  [ -z "$said" ] || echo "$said" >&2
  return 1
}
"""
"""Shell functions; behind a proxy of the environment, or of a .curlrc, the address would be another
machine's. A look that meets Caddy while it loads a configuration is made again."""

Tree = Any
"""A part of Caddy's configuration, as JSON."""


class CaddyOptions(Options):
    """Where it is asked, and which of its handlers are meant."""

    admin: Operand = "http://127.0.0.1:2019"
    """Its admin API, as seen from the host where Caddy runs."""
    pool: Operand
    """The `@id` of the `reverse_proxy` handler that has the upstreams."""
    parked: Operand
    """The `@id` of another one, in a route that matches nothing, for those that are out."""


class Caddy(Backend):
    """One `reverse_proxy` of a Caddy; a member is an upstream, by its `dial` address."""

    Options: ClassVar[type[Options]] = CaddyOptions
    _guard = threading.Lock()
    """One change at a time; those of others are met by If-Match."""

    def look(self) -> PoolState:
        config, _, migrates = self._config()
        counts = {row["address"]: int(row["num_requests"]) for row in self._counts()}
        taking, parked = self._handlers(config)
        members = [_member(row, True, counts) for row in taking["upstreams"]]
        names = {member.name for member in members}
        rest = (_member(row, False, counts) for row in parked["upstreams"])
        members += [member for member in rest if member.name not in names]
        layout = _layout(config, taking, parked)
        return PoolState(tuple(sorted(members, key=_by_name)), layout, self._risk(migrates))

    def apply(self, key: str, wanted: Sequence[Member]) -> Result:
        with self._guard:
            config, etag, _ = self._config()
            taking, parked = self._handlers(config)
            _move(taking, parked, wanted)
            address = shlex.quote(self._options.admin + APPS)
            body, match = shlex.quote(json.dumps(config)), shlex.quote(f"If-Match: {etag}")
            text = f"printf %s {body} | ask -X PATCH -H {match} --data-binary @- {address}"
            return self.change(key, f"{ASK}{text}")

    def spelled(self, wanted: Sequence[Member]) -> str:
        options = self._options
        told = (f"{e.name} to {options.pool if e.takes else options.parked}" for e in wanted)
        return f"in the configuration at {options.admin}{APPS}, move {', '.join(told)}"

    @property
    def _options(self) -> CaddyOptions:
        options: CaddyOptions = self.balancer.options
        return options

    def _risk(self, migrates: str) -> str:
        """For each configuration Caddy opens its sockets anew (SO_REUSEPORT), and closes the old
        ones. Who waits to be accepted there is reset, unless the kernel gives them to the new
        ones: https://docs.kernel.org/networking/ip-sysctl.html, tcp_migrate_req (Linux 5.14)."""
        if migrates != "0":
            return ""
        where = self.transport.host.name
        return (
            f"{self.place} resets connections that wait while it takes a move up; to prevent that:"
            f" sysctl -w net.ipv4.tcp_migrate_req=1 on {where}"
        )

    def _config(self) -> tuple[Tree, str, str]:
        """The servers as they run, what names this state of them, and whether the kernel there
        lets connections wait on (`1`), or not (`0`), or is too old to tell."""
        address = shlex.quote(self._options.admin + APPS)
        script = f"""{ASK}
heads=$(mktemp); trap 'rm -f "$heads"' EXIT
body=$(get -D "$heads" {address}) || exit 1
echo "=== etag"; tr -d '\\r' < "$heads" | sed -n 's/^[Ee][Tt][Aa][Gg]: //p'
echo "=== migrates"; cat /proc/sys/net/ipv4/tcp_migrate_req 2>/dev/null || :
echo "=== config"; printf '%s\\n' "$body\""""
        found = sections(self.read(script))
        config = self._parsed(found["config"])
        return config, found["etag"].strip(), found["migrates"].strip()

    def _counts(self) -> Sequence[Mapping[str, Any]]:
        address = shlex.quote(f"{self._options.admin}/reverse_proxy/upstreams")
        counts: Sequence[Mapping[str, Any]] = self._parsed(self.read(f"{ASK}get {address}")) or []
        return counts

    def _parsed(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            raise self.unread(f"its admin API answers no JSON: {cut(text, 80)!r}") from error

    def _handlers(self, config: Tree) -> tuple[Tree, Tree]:
        """The handler that has the pool, and the one for those that are out."""
        found = {each["@id"]: each for each in _identified(config)}
        for name in (self._options.pool, self._options.parked):
            if found.get(name, {}).get("handler") != "reverse_proxy":
                raise self.unread(f"it has no reverse_proxy with the @id {name}")
            found[name].setdefault("upstreams", [])
        return found[self._options.pool], found[self._options.parked]


def _identified(tree: Tree) -> Iterator[dict[str, Any]]:
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    if isinstance(tree, dict) and "@id" in tree:
        yield tree
    for each in inner:
        yield from _identified(each)


def _member(row: Mapping[str, Any], takes: bool, counts: Mapping[str, int]) -> Member:
    name = str(row.get("dial", ""))
    return Member(name, takes, None, counts.get(name, 0), _mark(row))


def _mark(row: Mapping[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


def _by_name(member: Member) -> str:
    return member.name


def _move(taking: Tree, parked: Tree, wanted: Sequence[Member]) -> None:
    """Each of the members stands in the one list or the other, once."""
    rows = [*taking["upstreams"], *parked["upstreams"]]
    for each in wanted:
        row = next((row for row in rows if row.get("dial") == each.name), json.loads(each.mark))
        for handler in (taking, parked):
            handler["upstreams"] = [r for r in handler["upstreams"] if r.get("dial") != each.name]
        (taking if each.takes else parked)["upstreams"].append(row)


def _layout(config: Tree, taking: Tree, parked: Tree) -> str:
    """The servers as they are when nobody is out, whatever the order of the upstreams."""
    every = {_mark(row) for row in (*taking["upstreams"], *parked["upstreams"])}
    plain = deepcopy(config)
    for each in _identified(plain):
        if each["@id"] == parked["@id"]:
            each["upstreams"] = []
        elif each["@id"] == taking["@id"]:
            each["upstreams"] = [json.loads(row) for row in sorted(every)]
    return json.dumps(plain, indent=1, sort_keys=True)
