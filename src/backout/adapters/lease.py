"""The lock: a lease on every host of a target.

On a host the lease is a directory that appears whole or not at all::

    HOME/lock/{token,owner,run,host,fence}    one line each
    HOME/lock/since                            when it was taken: the file's own time
    HOME/lock/back.TOKEN                       by the acquisition that made it: HOME/fence as it is
                                               when that changed nothing
    HOME/lock/expires                          boot and uptime at which it expires, and its length
    HOME/lock/step                             a line for each command so far
    HOME/fence                                 counts the acquisitions, names the last

It is taken, renewed and let go by one command each. Whatever needs room is written beside it, and
a rename puts it in place: who fails leaves the lease as it was. It is let go when its token is put
away (`taken`); what is left then is nobody's, and cleared by whoever comes next. What a power cut
leaves of one that was whole still counts. A lease that expired still stands: the run that left
it may be half done, so a person decides (`unlock`). The lease of a run that is known to be over is
worth nothing, expired or not: the next run takes it. And a command that is alive under its note
holds the host whatever became of its lease. The programs are `adapters/shell`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from backout.adapters.clock import SystemClock
from backout.adapters.local_lock import owner
from backout.adapters.mirror import Mirror
from backout.adapters.own_directory import GUARD, UNSAFE
from backout.adapters.own_directory import refused as unsafe
from backout.adapters.programs import program
from backout.adapters.renewal import ASK_MINE, Renewal
from backout.adapters.standings import ask, each, held, remove, shells, standing_of, unwritten
from backout.adapters.transports.noted_shell import ShellTransport, taken
from backout.adapters.transports.shell_text import Fence, run_name
from backout.adapters.untaken import Untaken, one_machine, overtaken, taken_over, too_late
from backout.errors import (
    BackoutError,
    Held,
    Incomplete,
    Interrupted,
    Outdated,
    Refused,
    TakenOver,
    Unreachable,
)
from backout.model import Result
from backout.ports import OWN, PAUSES, Claim, Clock, Transport

TTL = 60.0
"""How long a lease lasts that nobody renews, in seconds."""

SPARE = 64 * 1024
"""Bytes that a run sets aside on each host: when the disk is full, they make room for the notes
of the way back."""
KEEP_DAYS = 30
"""How long a host keeps the notes of other runs, when there are more than a few."""
FEW = 10

LATER = 73
"""Exit code: a later process of this run was there."""
TAKEN_OVER = 74
"""Exit code: another machine has taken this run over."""
SAME = 78
"""Exit code: this very acquisition holds the lock already, for another entry of the inventory."""
ALIVE = 79
"""Exit code: a command of another run is alive there."""

_MINE = 'ours || { tidy; rmdir "$home/lock" 2>/dev/null || :; exit 75; }\n'
"""Who was killed as it let go may have left nothing but the directory."""
_UNTOUCHED = """
[ ! -e "$home/lock/back.$token" ] || {
  mv -f "$home/lock/back.$token" "$home/fence"
  sync "$home/fence" 2>/dev/null || sync
}
"""
"""Who took the host anew, and changed nothing, was not here: the one before was here last."""
_RELEASE = 'bo_folder=$home/notes/$notes; bo_keep || :\ncd "$home/lock" || exit 75\nvanish'
_OUTPUT = r""" "$home/notes/$notes"/*.out "$home/notes/$notes"/*.err"""
"""What a run's commands printed, which only an unfinished run may have to ask for."""


class LeaseLock:
    """`ports.Lock` over the hosts' leases."""

    def __init__(
        self,
        target: str,
        *,
        ttl: float = TTL,
        warn: Callable[[str], None] = lambda _: None,
        mirror: Mirror | None = None,
        record: str = "",
        clock: Clock | None = None,
    ) -> None:
        """`record` is the file in a host's own directory that is read as the host is taken."""
        self._target = target
        self._mirror = mirror
        self._ttl = ttl
        self._warn = warn
        self._keep = False
        self._held: tuple[ShellTransport, ...] = ()
        self._record = record
        self._clock = clock or SystemClock()
        self._found: dict[str, str] = {}

    def found(self, host: str) -> str | None:
        """What was on record when the host was taken; see `ports.Lock`."""
        return self._found.pop(host, None)

    def keep(self) -> None:
        """Leave the leases standing at the end: backing out is incomplete."""
        self._keep = True

    @contextmanager
    def hold(
        self,
        transports: Sequence[Transport],
        run: str,
        *,
        others: Sequence[Transport] = (),
        here: Transport | None = None,
        began: Collection[str] = (),
        claim: Claim = OWN,
        changed: Callable[[], bool] = lambda: False,
        over: Callable[[str], bool] = lambda _: False,
    ) -> Iterator[tuple[str, ...]]:
        """Hold every host, or none; see `ports.Lock`. Raises Held, Refused or Unreachable.

        The leases are left standing when the run leaves with something undone: after `keep`,
        when Incomplete, Interrupted, TakenOver or something unforeseen passes through here, or
        when it is refused and has changed something before.
        """
        token = secrets.token_hex(16)
        self._keep = False
        given = _Given(run, token, began, claim, changed, over)
        self._acquire(shells(transports), shells(others), given)
        if self._mirror:
            self._mirror.carry(self._held)
        ended = False
        try:
            marked = mark(here, run, began)
            with Renewal(self._held, token, self._ttl, self._warn):
                yield (*(transport.host.name for transport in self._held), *marked)
            ended = True
        except (Incomplete, Interrupted):
            self._keep = True
            raise
        except BackoutError as error:
            # Who goes on with the run takes its hosts just now: to let go would be beneath them.
            self._keep = self._keep or isinstance(error, TakenOver) or given.stays(error)
            raise
        except BaseException:
            self._keep = True
            raise
        finally:
            if self._keep and self._mirror:
                self._mirror.flush()
            for transport in self._held:
                transport.fence = Fence()
            if not self._keep:
                self._release(self._held, given, ended=ended)
            if self._mirror:
                self._mirror.let_go()
            self._held = ()

    def lost(self, hosts: Collection[str] = ()) -> str:
        """Why this run no longer holds what it held; see `ports.Lock`."""

        def look(transport: ShellTransport) -> str:
            needed = transport.host.name in hosts
            gone, unknown = self._still(transport, PAUSES if needed else PAUSES[:1])
            return gone or (unknown if needed else "")

        return "; ".join(words for words in each(look, self._held) if words)

    def _still(self, transport: ShellTransport, pauses: Sequence[float]) -> tuple[str, str]:
        """Why the host is not held any more, or why that is not known after any of the pauses."""
        name, unknown = transport.host.name, ""
        for pause in pauses:
            self._clock.sleep(pause)
            try:
                result = ask(transport, {"token": transport.fence.token}, ASK_MINE)
            except Unreachable as error:
                unknown = error.what
                continue
            if result.ok or result.exit_code == 75:
                return ("" if result.ok else taken(name, result.stdout.strip())), ""
            unknown = f"whether {name} is still held is not known: {result.reason}"
        return "", unknown

    def refused(self, host: str) -> str:
        """What was said to what is about to act; see `ports.Lock`."""
        said = self._mirror.refused if self._mirror else {}
        return "; ".join(said[name] for name in sorted(said) if host in ("", name))

    def _acquire(
        self,
        hosts: Sequence[ShellTransport],
        others: Sequence[ShellTransport],
        given: _Given,
    ) -> None:
        """The first host alone, so that of two runs that meet one wins; then all the others."""
        done: list[ShellTransport] = []
        errors: list[BackoutError] = []
        machines: dict[str, str] = {}

        def acquire(transport: ShellTransport) -> None:
            name = transport.host.name
            try:
                machine = self._acquire_one(transport, given)
                done.append(transport)
                if machine and (other := machines.setdefault(machine, name)) != name:
                    raise one_machine(other, name, "the same server answers for both")
            except (Unreachable, Untaken) as error:
                if transport in others:
                    self._warn(f"{name} is not locked: {error.what}")
                else:
                    errors.append(error)
            except BackoutError as error:
                errors.append(error)

        everyone = sorted((*hosts, *others), key=lambda transport: transport.host.name)
        try:
            each(acquire, everyone[:1])
            if not errors:
                each(acquire, everyone[1:])
            if errors:
                raise min(errors, key=lambda error: (not isinstance(error, Held), error.where))
        except BaseException as error:
            if not given.stays(error):
                self._release(done, given)
            raise
        self._held = tuple(transport for transport in everyone if transport in done)
        for transport in self._held:
            transport.fence = Fence(given.token, self._ttl, given.run)

    def _acquire_one(self, transport: ShellTransport, given: _Given) -> str:
        """Which machine it is, or nothing where it does not tell."""
        result = self._asked(transport, given)
        if not result.ok:
            refusal = self._refusal(transport, result, given.run)
            if isinstance(refusal, Untaken) and not given.stays(refusal):
                self._release([transport], given)
            raise refusal
        machine, _, found = result.stdout.partition("\n")
        if self._record:
            self._found[transport.host.name] = found
        return _machine(transport, machine)

    def _asked(self, transport: ShellTransport, given: _Given) -> Result:
        """What a host says that is to be taken, once no lease of a run that is over is in the
        way."""
        values = self._values(transport.host.name, given)
        script = f"h=$home;{GUARD}{program('acquire')}"
        result = ask(transport, values, script)
        while result.exit_code == 75 and self._freed(transport, result, given):
            result = ask(transport, values, script)
        return result

    def _values(self, name: str, given: _Given) -> dict[str, str]:
        """What `acquire` is given on a host."""
        return {
            "token": given.token,
            "name": run_name(name),
            "host": name,
            "notes": run_name(given.run),
            "run": given.run,
            "owner": owner(),
            "ttl": str(round(self._ttl)),
            "began": "1" if name in given.began else "",
            "epoch": str(given.claim.epoch),
            "claim": given.claim.id,
            "turn": str(given.claim.turn),
            "spare": str(SPARE),
            "record": self._record,
            "days": str(KEEP_DAYS),
            "few": str(FEW),
        }

    def _refusal(self, transport: ShellTransport, result: Result, run: str) -> BackoutError:
        """Why a host was not taken."""
        code, said = result.exit_code, result.stdout.strip()
        if code == UNSAFE:
            return unsafe(transport.host.name, transport.home, result.stdout)
        if code in (75, ALIVE):
            return held(standing_of(transport, result.stdout), self._target)
        if code == 76:
            return overtaken(transport, run, said, self._target)
        if code == LATER:
            return too_late(transport, run, self._target)
        if code == TAKEN_OVER:
            return taken_over(transport, run, said, self._target)
        if code == SAME:
            why = f"both keep their state in {transport.home}"
            return one_machine(said, transport.host.name, why)
        return unwritten(transport, result, "taken")

    def _freed(self, transport: ShellTransport, refused: Result, given: _Given) -> bool:
        """Whether a lease that stood in the way, of a run that is over, was taken away: that very
        one, and nothing is alive there."""
        standing = standing_of(transport, refused.stdout)
        lease = standing.lease
        if lease is None or not standing.left(given.over) or not remove(transport, lease.token):
            return False
        words = f"the lease of run {lease.run}, which is over, was left there, and was taken"
        self._warn(f"{standing.host}: {words}")
        return True

    def _release(
        self, hosts: Sequence[ShellTransport], given: _Given, *, ended: bool = False
    ) -> None:
        """Let go; what a run printed that has `ended` is kept by the journal alone."""
        untouched = _UNTOUCHED if not (ended or given.changed()) else ""
        script = _MINE + untouched + _RELEASE + (_OUTPUT if ended else "")

        def release(transport: ShellTransport) -> None:
            lines = "\n".join(transport.luggage.waiting())
            values = {"token": given.token, "notes": run_name(given.run), "bo_lines": lines}
            try:
                result = ask(transport, values, script)
                if not result.ok and result.exit_code != 75:  # to let go twice is to let go once
                    result = ask(transport, values, script)
            except Unreachable as error:
                self._warn(f"the lease on {transport.host.name} stays: {error.what}")
                return
            if not result.ok and result.exit_code != 75:
                self._warn(f"the lease on {transport.host.name} stays: {result.reason}")

        each(release, hosts)


@dataclass(frozen=True, slots=True)
class _Given:
    """What the hosts of one run are taken with."""

    run: str
    token: str
    began: Collection[str]
    claim: Claim
    changed: Callable[[], bool]
    over: Callable[[str], bool]

    def stays(self, error: BaseException) -> bool:
        """Whether the hosts of a run that cannot go on stay its own: they are half done, as far as
        is known here, and it is not another machine's by now."""
        return isinstance(error, Outdated) or (not isinstance(error, TakenOver) and self.changed())


def mark(here: Transport | None, run: str, began: Collection[str] = ()) -> tuple[str, ...]:
    """Mark this machine, where a run's own commands leave their notes, as `acquire` marks a
    host. Gives its name, which is empty. Raises Refused."""
    if here is None:
        return ()
    (transport,) = shells([here])
    values = {"notes": run_name(run), "began": "1" if "" in began else ""}
    result = ask(transport, values, program("mark"))
    if not result.ok:
        raise Refused(
            f"notes cannot be left on this machine: {result.reason}",
            next=f"see that {transport.home} can be written",
        )
    return ("",)


def _machine(transport: ShellTransport, text: str) -> str:
    """An operator's own session says nothing about a machine that is not reached over SSH."""
    words = text.split()
    if len(words) != 4:
        return ""
    boot, name, address, port = words
    local = transport.host.connection == "local"
    if local or "-" in (address, port):
        return f"{boot} {name} here" if local else ""
    return f"{boot} {name} {address} {port}"
