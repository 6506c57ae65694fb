"""Who holds the hosts, and what is alive there; and how they are taken away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar, cast

from backout.adapters.own_directory import GUARD, UNSAFE
from backout.adapters.own_directory import refused as unsafe
from backout.adapters.programs import program
from backout.adapters.transports.noted_shell import ShellTransport
from backout.adapters.transports.shell_text import LIBRARY, PATIENT_TENTHS, path, quote, run_name
from backout.adapters.untaken import Untaken
from backout.errors import BackoutError, Held, Unreachable
from backout.model import Command, Lease, Result, State
from backout.ports import Transport
from backout.ports.abreast import abreast

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 32
"""How many hosts are spoken to at the same time."""
UNCHANGED = "nothing was changed"


@dataclass(frozen=True, slots=True)
class Living:
    """A command that is alive under its note on a host."""

    pid: int
    since: datetime
    run: str
    step: str

    def __str__(self) -> str:
        return f"{self.step} of run {self.run} (process {self.pid}, since {clock(self.since)})"


@dataclass(frozen=True, slots=True)
class Standing:
    """The lease on one host, if there is one, by the host's own clock; and what is alive there."""

    host: str
    lease: Lease | None
    expired: bool = False
    living: tuple[Living, ...] = ()

    @property
    def free(self) -> bool:
        """Whether nobody holds the host: neither a lease nor a command."""
        return self.lease is None and not self.living

    @property
    def remains(self) -> bool:
        """Whether the lease is what a power cut left of one: it names no run, and is renewed by
        nobody."""
        nobodys = self.lease is not None and not self.lease.run
        return nobodys and self.expired and not self.living

    def left(self, over: Callable[[str], bool]) -> bool:
        """Whether the lease is one that a run which is `over` has left, and nothing is alive there:
        whoever knows that takes it."""
        lease = self.lease
        if lease is None or self.living or not (lease.run and lease.token):
            return False
        return over(lease.run)


def standings(transports: Sequence[Transport]) -> tuple[Standing, ...]:
    """The lease on every host, and what is alive there. Raises Unreachable."""

    def read(transport: ShellTransport) -> Standing:
        result = ask(transport, {}, "show ''\n")
        if not result.ok:
            raise Unreachable(f"the lock of {transport.host.name} cannot be read: {result.reason}")
        return standing_of(transport, result.stdout)

    return tuple(each(read, shells(transports)))


def take(
    transports: Sequence[Transport],
    target: str,
    *,
    force: bool = False,
    over: Callable[[str], bool] = lambda _: False,
) -> tuple[tuple[str, Living], ...]:
    """Remove the leases: those that expired, or whose run is `over`, where nothing is alive, none
    of them unless all are so, or with `force` whatever stands, ending first what is alive. Gives
    that, by host. Raises Held, Untaken and Unreachable, which say what was freed before."""
    found, freed = standings(transports), list[str]()
    for standing in found:
        past = (standing.expired and not standing.living) or standing.left(over)
        if not (force or standing.free or past):
            raise held(standing, target)
    for transport, standing in zip(shells(transports), found, strict=True):
        if not standing.free:
            token = standing.lease.token if standing.lease else ""
            try:
                if not remove(transport, token, force=force):
                    now = standings([transport])[0]
                    if not now.free:  # else it was let go meanwhile
                        raise held(now, target, _so_far(freed))
            except Unreachable as error:
                error.state = _so_far(freed, standing.host)
                raise
            except Untaken as error:
                error.state = _so_far(freed)
                raise
            freed.append(standing.host)
    return tuple((standing.host, each) for standing in found for each in standing.living)


def _so_far(freed: Sequence[str], unseen: str = "") -> str:
    """`unseen` is a host that was asked and did not answer: it may have done it, or half."""
    known = f"the lock is free on {', '.join(freed)}, and only there" if freed else UNCHANGED
    if not unseen:
        return known
    before = f"the lock is free on {', '.join(freed)}; " if freed else ""
    return f"{before}whether the lock is free on {unseen} is not known, its answer was lost"


def end_here(here: Transport, run: str, target: str) -> tuple[Living, ...]:
    """End what a run still does on this machine. Gives that. Raises Held when it goes on."""
    (transport,) = shells([here])
    found = _of(run, standings([here])[0])
    if found.living and not remove(transport, "", force=True, only=run):
        raise held(_of(run, standings([here])[0]), target)
    return found.living


def _of(run: str, standing: Standing) -> Standing:
    return replace(standing, living=tuple(each for each in standing.living if each.run == run))


def remove(transport: ShellTransport, token: str, *, force: bool = False, only: str = "") -> bool:
    """Take that very lease away, or none; where something is alive only with `force`, which ends it
    first. Whether it is gone. Raises Unreachable, and Untaken where it cannot be written."""
    values = {
        "token": token,
        "force": "1" if force else "",
        "only": run_name(only),
        "grace": str(PATIENT_TENTHS),
    }
    result = ask(transport, values, program("end_group") + program("take"))
    if result.state is State.FAILED and result.exit_code not in (75, 79):
        raise unwritten(transport, result, "taken away")
    return result.ok


_NEAREST = """
while [ -n "$home" ] && [ ! -d "$home" ]; do home=${home%/*}; done
home=${home:-/}
"""
_FULL = """
set -- $(df -Pk "$home" 2>/dev/null | tail -n 1)
[ "${4:-1}" != 0 ] || echo "the disk at $6 is full"
set -- $(df -Pi "$home" 2>/dev/null | tail -n 1) # where files are not counted, all is 0 or -
[ "${2:-0}" = 0 ] || [ "${4:-1}" != 0 ] || echo "the disk at $6 has no room for one more file"
"""
_WRITABLE = '[ -w "$home" ] || { echo "$home cannot be written"; exit; }'


def unwritten(transport: ShellTransport, result: Result, wish: str) -> Untaken:
    """The refusal of a host whose lease could not be `wish`, and why."""
    name, why = transport.host.name, result.reason
    with suppress(Unreachable):  # shells say "I/O error" of a full disk
        full = ask(transport, {}, _NEAREST + _FULL)
        why = _first(full) or why
    return Untaken(f"the lock of {name} cannot be {wish}: {why}", where=name, next=_see(transport))


def ready(on: Transport) -> BackoutError | None:
    """Why no run could take a host as it is now, as far as its own directory is concerned. Raises
    Unreachable."""
    (transport,) = shells([on])
    name = transport.host.name
    result = ask(transport, {}, f"h=$home;{GUARD}{_NEAREST}{_WRITABLE}{_FULL}")
    if result.exit_code == UNSAFE:
        return unsafe(name, transport.home, result.stdout)
    why = _first(result) if result.ok else result.reason
    return Untaken(why, where=name, next=_see(transport)) if why else None


def _first(result: Result) -> str:
    return result.stdout.partition("\n")[0]


def _see(transport: ShellTransport) -> str:
    return f"see that {transport.home} can be written there"


def held(standing: Standing, target: str, so_far: str = UNCHANGED) -> Held:
    """The refusal, with who holds the host, since when and at which step, and what was done
    elsewhere so far."""
    lease, host = standing.lease, standing.host
    unlock = f"invoke unlock --target {target}"
    at_work = f"{'; '.join(map(str, standing.living))} is alive on {host}"
    if lease is None or not lease.run:
        if standing.living:
            return _alive(host, at_work, unlock, so_far)
        return Held(
            _nobodys(host, lease),
            where=host,
            state=so_far,
            next=f"try again; when it stays so: {unlock}",
        )
    step = f", at the step {lease.step}" if lease.step else ""
    who = f"{lease.owner or 'somebody'} holds {host} for run {lease.run} since "
    what = f"{who}{clock(lease.since)}{step}"
    if standing.living:
        return _alive(host, f"{what}; {at_work}", unlock, so_far)
    expired = (
        f"it expired at {clock(lease.expires)}: that run is gone and may be half done"
        if standing.expired
        else f"it is alive until {clock(lease.expires)} at least"
    )
    return Held(
        what,
        where=host,
        state=f"{so_far}; {expired}",
        next=f"{_ended(target)}; or {unlock}" if standing.expired else f"wait for it, or: {unlock}",
    )


def _nobodys(host: str, lease: Lease | None) -> str:
    if lease is None:
        return f"{host} was let go this moment by another run"
    return f"the lease on {host} names no run: it is just being written, or a power cut left it so"


def _ended(target: str) -> str:
    """What ends a run whose machine is gone: its hosts have it."""
    return f"invoke resume --target {target}, or invoke abort --target {target}, to end that run"


def _alive(host: str, what: str, unlock: str, so_far: str) -> Held:
    return Held(
        what,
        where=host,
        state=f"{so_far}; that command may still change something there",
        next=f"wait for its end, or end it: {unlock} --force",
    )


def shells(transports: Sequence[Transport]) -> list[ShellTransport]:
    """Every transport that reaches a machine is one of ours."""
    return [cast("ShellTransport", transport) for transport in transports]


def each(act: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """All of them side by side, their outcomes in order."""
    return abreast(act, items, AT_ONCE)


def ask(
    transport: ShellTransport, values: Mapping[str, str], script: str, timeout: float = 30.0
) -> Result:
    """Run one of the programs about leases on a host. Raises Unreachable."""
    given = "".join(f"{name}={quote(value)}\n" for name, value in values.items())
    text = f"home={path(transport.home)}\n{given}{LIBRARY}{program('lease')}{script}"
    return transport.run(Command(text, timeout=timeout, brief=True))


def standing_of(transport: ShellTransport, text: str) -> Standing:
    """What the program's `show` said."""
    name = transport.host.name
    lines = [line.partition("=")[::2] for line in text.splitlines()]
    living = tuple(_living(value) for field, value in lines if field == "alive")
    values = dict(lines)
    if "token" not in values:
        return Standing(name, None, living=living)
    left = _left(values)
    lease = Lease(
        owner=values["owner"],
        run=values["run"],
        token=values["token"],
        fence=_number(values["fence"]),
        since=_when(values["since"]),
        expires=_when(str(_number(values["now"]) + left)),
        step=values["step"],
    )
    return Standing(name, lease, left <= 0, living)


def _left(values: Mapping[str, str]) -> int:
    """How many seconds the lease lasts, by the clock that nobody sets; after another boot, as if
    it had been renewed when the host came up."""
    boot, until, ttl = (*values["expires"].split(), "", "", "")[:3]
    end = until if boot == values["boot"] else ttl
    return _number(end) - _number(values["clock"])


def _living(text: str) -> Living:
    pid, since, run, step = (*text.split(" ", 3), "", "", "")[:4]
    return Living(int(pid), _when(since), run, step or "a step")


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _when(text: str) -> datetime:
    return datetime.fromtimestamp(_number(text), UTC)


def clock(when: datetime) -> str:
    """A time as a person reads it."""
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")
