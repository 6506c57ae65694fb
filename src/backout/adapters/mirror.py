"""The mirror: a run's records beside its notes, on the hosts that they concern.

When the machine that deploys is lost, so is its journal. The mirrors have what another machine
needs to end the run: the frozen plan, each intent with its way back before it acted there, what
became of it, and the run's decisions. What acts on the deploying machine is on every held host
before it acts. A line is JSON. Lines travel with the commands that they are about, so that they
cost no round trip; one that arrives twice says nothing else than once. Secrets stand there by
reference.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backout.adapters.programs import program
from backout.adapters.standings import ask, each, shells
from backout.adapters.storage import chain
from backout.adapters.storage.chain import Line, Link, Opening
from backout.adapters.transports.noted_shell import FENCED, ShellTransport
from backout.adapters.transports.shell_text import LOOK, Luggage, run_name
from backout.errors import Refused, Unreachable
from backout.model import Command
from backout.ports import ANSWERED, HELD, Transport

OPEN = "open"
"""The kind of the first line: the run as it was opened, with its plan."""
PIECE = 96 * 1024
"""How many bytes of a mirror are read at once."""
LONG = 4 * 1024
"""A longer line is packed."""
BULKY = 16 * 1024
"""What concerns the run as a whole and is longer than this, packed, is kept on a few hosts only: a
baseline grows with the fleet."""
FEW = 3


class Mirror:
    """What a run that is under way leaves on its hosts."""

    def __init__(
        self, opening: Opening, past: Iterable[Line], from_here: Callable[[str, str], bool]
    ) -> None:
        """`past` are the records that the journal has already; `from_here` tells of a kind of
        step, and the host that it is for, whether this machine changes something then."""
        self._opening = opening
        self._past = list(past)
        self._from_here = from_here
        self._held: dict[str, ShellTransport] = {}
        self.refused: dict[str, str] = {}
        """Host -> why it took no record when it was asked last: its lease is another's by now."""

    def carry(self, transports: Sequence[Transport]) -> None:
        """These hosts are held: what is to be kept goes along with what changes them."""
        first = json.dumps({"kind": OPEN, "run": _packed(json.dumps(self._opening.values))})
        self._held = {transport.host.name: transport for transport in shells(transports)}
        for transport in self._held.values():
            transport.luggage = Luggage()
            transport.luggage.add([first])
        past, self._past = self._past, []
        for line in past:
            self._load(line)

    def keep(self, line: Line) -> None:
        """A record that is durable here. One that is about to act from this machine is on the
        hosts when this returns, as far as they can be reached; so is what a run that is held
        asks, for nothing else goes there then."""
        if not self._held:
            self._past.append(line)
            return
        concerned = self._load(line)
        kind = str(json.loads(line.body).get("kind", "")) if line.kind == "begin" else ""
        if line.kind in (HELD, ANSWERED) or (kind and self._from_here(kind, _host(line))):
            self.flush(concerned)

    def _load(self, line: Line) -> Sequence[ShellTransport]:
        """Let it go along to the hosts that it concerns. Gives those."""
        host, text = _host(line), text_of(line)
        own = self._held.get(host)
        concerned = [own] if own else [*self._held.values()] if not host else []
        for transport in concerned[: FEW if len(text) > BULKY else None]:
            transport.luggage.add([text])
        return concerned

    def flush(self, transports: Sequence[ShellTransport] | None = None) -> None:
        """Write what waits, now."""
        transports = [*self._held.values()] if transports is None else transports
        for transport, why in zip(transports, each(_flush, transports), strict=True):
            self.refused.pop(transport.host.name, None)
            if why.startswith(FENCED):
                self.refused[transport.host.name] = why

    def let_go(self) -> None:
        """The hosts are held no longer."""
        for transport in self._held.values():
            transport.luggage = Luggage()
        self._held = {}


def _flush(transport: ShellTransport) -> str:
    """Why it waits yet; the journal here has it."""
    if not transport.luggage.waiting():
        return ""
    try:
        return transport.run(Command(":", timeout=LOOK, fenced=True, brief=True)).reason
    except Unreachable as error:
        return error.what


def _packed(text: str) -> str:
    """What names every host says the same many times over."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _unpacked(text: str) -> str:
    return zlib.decompress(base64.b64decode(text)).decode()


def text_of(line: Line) -> str:
    """A record as a line of a mirror."""
    link, packed = line.link, len(line.body) > LONG
    body = {"packed": _packed(line.body)} if packed else {"body": line.body}
    about = {"kind": line.kind, "key": line.key, "at": line.at, **body}
    return json.dumps({**about, "n": link.n, "prev": link.prev, "hash": link.hash})


def _host(line: Line) -> str:
    """The machine that a record concerns, where another host's traffic may be moved; empty for
    this machine, and for the run as a whole."""
    if line.kind not in ("begin", "end"):
        return ""
    body = json.loads(line.body)
    return str(body.get("at" if body.get("balancer") else "host") or "")


# --- reading ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """What the mirrors of one run have, together."""

    opening: Opening
    lines: tuple[Line, ...]
    hosts: tuple[str, ...]
    """The hosts that have a mirror of it."""


def under_way(found: Found) -> tuple[str, ...]:
    """What began on the machine that drives the run, and has no end on record: its steps, by name.
    It goes on there whoever holds the hosts."""
    last = {line.key: line for line in found.lines if line.key and not _host(line)}
    begun = (json.loads(line.body) for line in last.values() if line.kind == "begin")
    return tuple(dict.fromkeys(str(body["step"]) for body in begun))


def runs(transports: Sequence[Transport]) -> tuple[str, ...]:
    """The runs that have a mirror on any of these hosts, by name. Raises Unreachable."""

    def of(transport: ShellTransport) -> list[str]:
        script = 'cd "$home/notes" 2>/dev/null || exit 0; for f in */mirror; do echo "$f"; done'
        listed = ask(transport, {}, script)
        if not listed.ok:
            raise Unreachable(f"{transport.host.name} does not list its notes: {listed.reason}")
        return [line.removesuffix("/mirror") for line in listed.stdout.splitlines()]

    named = {run for found in each(of, shells(transports)) for run in found}
    return tuple(sorted(named - {"*"}))


def read(transports: Sequence[Transport], run: str) -> Found | None:
    """A run, as the mirrors on these hosts have it; None when none has one. Raises Refused when
    they disagree, or one was changed, and Unreachable."""

    def of(transport: ShellTransport) -> tuple[str, list[Mapping[str, Any]]]:
        return transport.host.name, list(_lines(_whole(transport, run), transport.host.name))

    mirrors = [(host, found) for host, found in each(of, shells(transports)) if found]
    if not mirrors:
        return None
    openings = {host: _opening(found, host) for host, found in mirrors}
    first_host, opening = next(iter(openings.items()))
    for host, other in openings.items():
        if other != opening:
            raise disagree(run, first_host, host, "the plan")
    return Found(opening, _together(opening, mirrors), tuple(openings))


def _whole(transport: ShellTransport, run: str) -> str:
    text = ""
    while True:
        values = {"notes": run_name(run), "from": str(len(text) + 1), "size": str(PIECE)}
        result = ask(transport, values, program("mirror"))
        if not result.ok:
            words = f"the mirror of run {run} on {transport.host.name} cannot be read"
            raise Unreachable(f"{words}: {result.reason}")
        text += result.stdout
        if len(result.stdout) < PIECE:
            return text


def _lines(text: str, host: str) -> Iterator[Mapping[str, Any]]:
    """The last line may be torn: what it is about did not begin."""
    whole, _, _ = text.rpartition("\n")
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            found = json.loads(line)
            found["kind"]
        except (ValueError, KeyError, TypeError) as error:
            raise _spoilt(host, f"line {number} is none of ours") from error
        yield found


def _opening(lines: Sequence[Mapping[str, Any]], host: str) -> Opening:
    try:
        first = next(line["run"] for line in lines if line["kind"] == OPEN)
        return Opening(tuple(map(str, json.loads(_unpacked(first)))))
    except (StopIteration, ValueError, KeyError, zlib.error) as error:
        raise _spoilt(host, "it has no plan") from error


def _together(
    opening: Opening, mirrors: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]
) -> tuple[Line, ...]:
    run, known = opening.run, dict[int, tuple[str, Line]]()
    for host, lines in mirrors:
        for row in lines:
            if row["kind"] == OPEN:
                continue
            line = _line(row, host)
            if not _genuine(run, line):
                raise _spoilt(host, f"record {line.link.n} was changed")
            other, same = known.setdefault(line.link.n, (host, line))
            if same != line:
                raise disagree(run, other, host, f"record {line.link.n}")
    told = [pair for _, pair in sorted(known.items())]
    _follow(opening, told)
    return tuple(line for _, line in told)


def _follow(opening: Opening, told: Sequence[tuple[str, Line]]) -> None:
    """Each record follows the one before it, where that is on any host; the first the plan."""
    before, last = "", Link(hash=opening.hash)
    for host, line in told:
        if line.link.n == last.n + 1 and line.link.prev != last.hash:
            if before not in ("", host):
                raise disagree(opening.run, before, host, f"record {last.n}")
            raise _spoilt(host, f"record {line.link.n} does not follow what is before it")
        before, last = host, line.link


def _line(row: Mapping[str, Any], host: str) -> Line:
    try:
        link = Link(int(row["n"]), str(row["prev"]), str(row["hash"]))
        body = _unpacked(row["packed"]) if "packed" in row else str(row["body"])
        return Line(str(row["kind"]), str(row["key"]), str(row["at"]), body, link)
    except (KeyError, ValueError, TypeError, zlib.error) as error:
        raise _spoilt(host, "a record in it is none of ours") from error


def _genuine(run: str, line: Line) -> bool:
    try:
        found = chain.record(line.link.prev, run, line.kind, line.key, line.at, line.body)
    except ValueError:
        return False
    return found == line.link.hash


def _spoilt(host: str, why: str) -> Refused:
    return Refused(
        f"the mirror on {host} cannot be trusted: {why}",
        where=host,
        state="nothing was changed",
        next="see what stands in notes/ of Backout's directory there, and put things right by hand",
    )


def disagree(run: str, one: str, other: str, about: str) -> Refused:
    """Two places have not the same records of a run."""
    return Refused(
        f"the mirrors of run {run} on {one} and {other} disagree about {about}",
        where=other,
        state="nothing was changed; two machines have gone on with this run",
        next="go on from the machine whose run it is, or put things right by hand",
    )
