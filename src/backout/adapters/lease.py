"""The lock: a lease on every host of a target, and the kernel's lock on this machine.

On a host the lease is a directory that appears whole or not at all::

    HOME/lock/{token,owner,run,host,fence,since,expires}    one line each
    HOME/lock/step                                     a line for each command so far
    HOME/fence                                         counts the acquisitions, names the last

It is taken, renewed and let go by one command each. It vanishes file by file, and what is left
when the power fails just then still counts. Times are the host's own. A lease that expired still
stands: the run that left it may be half done, so a person decides (`unlock`).
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, cast

from backout.adapters.own_directory import GUARD, UNSAFE
from backout.adapters.own_directory import refused as unsafe
from backout.adapters.transports.noted_shell import ShellTransport, path, quote, run_name
from backout.errors import BackoutError, Held, Incomplete, Interrupted, Refused, Unreachable
from backout.model import Command, Lease, Result, State
from backout.ports import Transport

T = TypeVar("T")
R = TypeVar("R")

TTL = 60.0
"""How long a lease lasts that nobody renews, in seconds."""
AT_ONCE = 32
"""How many hosts are spoken to at the same time."""

SPARE = 64 * 1024
"""Bytes that a run sets aside on each host: when the disk is full, they make room for the notes
of the way back."""
KEEP_DAYS = 30
"""How long a host keeps the notes of other runs, when there are more than a few."""
FEW = 10

SAME = 78
"""Exit code: this very acquisition holds the lock already, for another entry of the inventory."""

_SHOW = r"""
show() {
  [ -d "$h/lock" ] || return 0
  for f in token owner run fence since expires step; do
    v=; { while IFS= read -r x; do v=$x; done <"$h/lock/$f"; } 2>/dev/null || :
    echo "$f=$v"
  done
}
"""

_ACQUIRE = (
    r"""
case $h in */.backout/*) above=${h%%/.backout/*} ;; *) above=${h%/*} ;; esac
[ -z "$above" ] || mkdir -p -- "$above" # the service's own; only what is ours is private
umask 077
now=$(date +%s) new=$h/lock.$t.$n
fence=0 last=; [ ! -e "$h/fence" ] || read -r fence last <"$h/fence" || :
if [ -e "$h/notes/$r/held" ] && [ "$last" != "$run" ] && [ ! -d "$h/lock" ]; then
  echo "$last"; exit 76
fi
mkdir -p "$h/notes/$r" "$new"
[ -e "$h/notes/$r/boot" ] || {
  b=-; { IFS= read -r b </proc/sys/kernel/random/boot_id; } 2>/dev/null || :
  echo "$b" >"$h/notes/$r/boot"
}
[ -e "$h/notes/$r/spare" ] || printf '%SPAREs' '' >"$h/notes/$r/spare"
write() {
  echo "$2" >"$1/owner"; echo "$3" >"$1/run"; echo "$now" >"$1/since"
  echo $((now + ttl)) >"$1/expires"; echo "$host" >"$1/host"; echo "$t" >"$1/token"
}
write "$new" "$owner" "$run"
took=
if [ ! -d "$h/lock" ]; then
  if mv -T "$new" "$h/lock" 2>/dev/null; then took=1
  elif mkdir "$h/lock" 2>/dev/null; then mv "$new"/* "$h/lock/" && took=1; fi
fi
if [ -z "$took" ]; then
  rm -rf "$new"
  held=; { IFS= read -r held <"$h/lock/run"; } 2>/dev/null || :
  if [ "$held" != "$run" ]; then echo "now=$now"; show; exit 75; fi
  by=; { IFS= read -r by <"$h/lock/token"; } 2>/dev/null || :
  if [ "$by" = "$t" ]; then IFS= read -r by <"$h/lock/host"; echo "$by"; exit SAME; fi
  write "$h/lock" "$owner" "$run"
fi
set -- "$h"/notes/*
[ $# -le FEW ] || find "$h/notes" -mindepth 1 -maxdepth 1 -type d ! -name "$r" -mtime +KEEP \
  -exec rm -rf {} + 2>/dev/null || :
fence=$((${fence:-0} + 1))
echo "$fence $run" >"$h/fence"; echo $fence >"$h/lock/fence"; echo $fence >"$h/notes/$r/held"
""".replace("FEW", str(FEW))
    .replace("KEEP", str(KEEP_DAYS))
    .replace("SPARE", str(SPARE))
    .replace("SAME", str(SAME))
)

_MACHINE = r"""
b=; { IFS= read -r b </proc/sys/kernel/random/boot_id; } 2>/dev/null || :
m=; { IFS= read -r m </proc/sys/kernel/hostname; } 2>/dev/null || :
set -- $SSH_CONNECTION
echo "$b $m ${3:--} ${4:--}"
"""
"""Which machine this is: its kernel, the name that it goes by, and where its server listens.
(Containers of one machine share the kernel.)"""

_EXCLUDE = r"""
d=$h
while d=${d%/*}; [ -n "$d" ] && [ ! -d "$d/.git" ]; do :; done
if [ -n "$d" ] && [ -d "$d/.git/info" ]; then
  line=${h#"$d"}/ found=
  if [ -e "$d/.git/info/exclude" ]; then
    while IFS= read -r x; do [ "$x" != "$line" ] || found=1; done <"$d/.git/info/exclude"
  fi
  [ -n "$found" ] || echo "$line" >>"$d/.git/info/exclude"
fi
"""

_MINE = r"""
x=; { IFS= read -r x <"$h/lock/token"; } 2>/dev/null || :
[ "$x" = "$t" ] || exit 75
"""

_RENEW = r"""
now=$(date +%s)
echo $((now + ttl)) >"$h/lock/expires"
"""

_RELEASE = 'rm -rf "$h/lock"'
_OUTPUT = r""" "$h/notes/$r"/*.out "$h/notes/$r"/*.err"""
"""What a run's commands printed, which only an unfinished run may have to ask for."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The lease on one host, if there is one, by the host's own clock."""

    host: str
    lease: Lease | None
    expired: bool = False


class LeaseLock:
    """`ports.Lock` over the hosts' leases."""

    def __init__(
        self, target: str, *, ttl: float = TTL, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        self._target = target
        self._ttl = ttl
        self._warn = warn
        self._keep = False

    def keep(self) -> None:
        """Leave the leases standing at the end: backing out is incomplete."""
        self._keep = True

    @contextmanager
    def hold(self, transports: Sequence[Transport], run: str) -> Iterator[None]:
        """Hold every host, or none. Raises Held, Refused or Unreachable.

        The leases are left standing when the run leaves with something undone: after `keep`,
        or when Incomplete, Interrupted or something unforeseen passes through here.
        """
        token = secrets.token_hex(16)
        hosts = sorted(_shells(transports), key=lambda transport: transport.host.name)
        self._keep = False
        self._acquire(hosts, run, token)
        ended = ""
        renewing = _Renewal(hosts, token, self._ttl, self._warn)
        try:
            with renewing:
                yield
            ended = run
        except (Incomplete, Interrupted):
            self._keep = True
            raise
        except BackoutError:
            raise
        except BaseException:
            self._keep = True
            raise
        finally:
            for transport in hosts:
                transport.token = ""
            if not self._keep:
                self._release(hosts, token, ended)

    def _acquire(self, hosts: Sequence[ShellTransport], run: str, token: str) -> None:
        """The first host alone, so that of two runs that meet one wins; then all the others."""
        done: list[ShellTransport] = []
        errors: list[BackoutError] = []
        machines: dict[str, str] = {}

        def acquire(transport: ShellTransport) -> None:
            name = transport.host.name
            try:
                machine = self._acquire_one(transport, run, token)
                done.append(transport)
                if machine and (other := machines.setdefault(machine, name)) != name:
                    raise _one_machine(other, name, "the same server answers for both")
            except BackoutError as error:
                errors.append(error)

        try:
            _each(acquire, hosts[:1])
            if not errors:
                _each(acquire, hosts[1:])
            if errors:
                raise min(errors, key=lambda error: (not isinstance(error, Held), error.where))
        except BaseException:
            self._release(done, token)
            raise
        for transport in hosts:
            transport.token = token

    def _acquire_one(self, transport: ShellTransport, run: str, token: str) -> str:
        """Which machine it is, or nothing where it does not tell."""
        values = {
            "t": token,
            "n": run_name(transport.host.name),
            "host": transport.host.name,
            "r": run_name(run),
            "run": run,
            "owner": owner(),
            "ttl": str(round(self._ttl)),
        }
        result = _ask(transport, values, GUARD + _SHOW + _ACQUIRE + _EXCLUDE + _MACHINE)
        if result.exit_code == UNSAFE:
            raise unsafe(transport.host.name, transport.home, result.stdout)
        if result.exit_code == 75:
            raise held(_standing(transport, result.stdout), self._target)
        if result.exit_code == 76:
            raise _overtaken(transport, run, result.stdout.strip(), self._target)
        if result.exit_code == SAME:
            why = f"both keep their state in {transport.home}"
            raise _one_machine(result.stdout.strip(), transport.host.name, why)
        if not result.ok:
            self._release([transport], token)
            raise Refused(
                f"the lock of {transport.host.name} cannot be taken: {result.reason}",
                where=transport.host.name,
                next=f"see that {transport.home} can be written there",
            )
        return _machine(transport, result.stdout)

    def _release(self, hosts: Sequence[ShellTransport], token: str, ended: str = "") -> None:
        """Let go; what a run printed that has `ended` is kept by the journal alone."""
        script = _MINE + _RELEASE + (_OUTPUT if ended else "")
        values = {"t": token, "r": run_name(ended)}

        def release(transport: ShellTransport) -> None:
            try:
                result = _ask(transport, values, script)
                if result.state is State.UNKNOWN:  # to let go twice is to let go once
                    result = _ask(transport, values, script)
            except Unreachable as error:
                self._warn(f"the lease on {transport.host.name} stays: {error.what}")
                return
            if not result.ok and result.exit_code != 75:
                self._warn(f"the lease on {transport.host.name} stays: {result.reason}")

        _each(release, hosts)


def standings(transports: Sequence[Transport]) -> tuple[Standing, ...]:
    """The lease on every host. Raises Unreachable."""

    def read(transport: ShellTransport) -> Standing:
        result = _ask(transport, {}, _SHOW + 'echo "now=$(date +%s)"; show\n')
        if not result.ok:
            raise Unreachable(f"the lock of {transport.host.name} cannot be read: {result.reason}")
        return _standing(transport, result.stdout)

    return tuple(_each(read, _shells(transports)))


def take(transports: Sequence[Transport], target: str, *, force: bool = False) -> None:
    """Remove the leases, all of them or none: expired ones, or with `force` whatever stands.
    Raises Held and Unreachable."""
    found = standings(transports)
    for standing in found:
        if standing.lease and not (standing.expired or force):
            raise held(standing, target)
    for transport, standing in zip(_shells(transports), found, strict=True):
        if standing.lease:
            result = _ask(transport, {"t": standing.lease.token}, _MINE + _RELEASE)
            if not result.ok:
                raise held(standings([transport])[0], target)


def held(standing: Standing, target: str) -> Held:
    """The refusal, with who holds the host, since when and at which step."""
    lease = standing.lease
    unlock = f"invoke unlock --target {target}"
    if lease is None or not lease.run:
        return Held(
            f"{standing.host} was let go this moment by another run",
            where=standing.host,
            state="nothing was changed",
            next=f"try again; when it stays so: {unlock}",
        )
    step = f", at the step {lease.step}" if lease.step else ""
    expired = (
        f"it expired at {_clock(lease.expires)}: that run is gone and may be half done"
        if standing.expired
        else f"it is alive until {_clock(lease.expires)} at least"
    )
    return Held(
        f"{lease.owner or 'somebody'} holds {standing.host} for run {lease.run} "
        f"since {_clock(lease.since)}{step}",
        where=standing.host,
        state=f"nothing was changed; {expired}",
        next=f"{unlock} is safe" if standing.expired else f"wait for it, or: {unlock}",
    )


def _overtaken(transport: ShellTransport, run: str, last: str, target: str) -> Refused:
    """A run that goes on would build on what it left, or take it back from beneath the other."""
    name = transport.host.name
    return Refused(
        f"run {run} cannot go on: {f'run {last}' if last else 'another'} was on {name} since",
        where=name,
        state="nothing was changed",
        next=f"invoke status --target {target}; then: invoke unlock --target {target} --force",
    )


def _one_machine(one: str, other: str, why: str) -> Refused:
    """Its lease, its notes and its release would be those of two hosts."""
    return Refused(
        f"{' and '.join(sorted((one, other)))} are one machine: {why}",
        where=other,
        next="keep one of the two in the inventory",
    )


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


def owner() -> str:
    """Who locks: user@machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


class _Renewal:
    """Renews the leases in the background while it is entered."""

    def __init__(
        self,
        hosts: Sequence[ShellTransport],
        token: str,
        ttl: float,
        warn: Callable[[str], None],
    ) -> None:
        self._hosts = hosts
        self._values = {"t": token, "ttl": str(round(ttl))}
        self._every = ttl / 3
        self._warn = warn
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> None:
        if self._hosts:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._hosts:
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._every):
            _each(self._renew, self._hosts)

    def _renew(self, transport: ShellTransport) -> None:
        name = transport.host.name
        try:
            result = _ask(transport, self._values, _MINE + _RENEW)
        except Unreachable as error:
            self._warn(f"the lease on {name} was not renewed: {error.what}")
            return
        if result.exit_code == 75:
            self._warn(f"another run has taken the lock of {name}")
        elif not result.ok:
            self._warn(f"the lease on {name} was not renewed: {result.reason}")


class LocalLock:
    """One run at a time per target on this machine: a file that the kernel locks, and unlocks
    when the process ends in whatever way."""

    def __init__(self, state: Path, target: str) -> None:
        self._file = state / "locks" / f"{run_name(target)}.lock"
        self._target = target

    @contextmanager
    def hold(self, run: str) -> Iterator[None]:
        """Hold it. Raises Held at once when another process does."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._file.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._held() from None
            file.truncate(0)
            since = datetime.now(UTC).isoformat()
            json.dump({"pid": os.getpid(), "owner": owner(), "run": run, "since": since}, file)
            file.flush()
            yield

    def holder(self) -> Mapping[str, object] | None:
        """The living process that holds it: pid, owner, run, since; None when nobody does."""
        try:
            with self._file.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            return self._noted()
        return None

    def _noted(self) -> Mapping[str, object]:
        try:
            noted = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return noted if isinstance(noted, dict) else {}

    def _held(self) -> Held:
        by = self._noted()
        return Held(
            f"run {by.get('run', '?')} holds {self._target} on this machine since "
            f"{by.get('since', '?')}",
            where=f"process {by.get('pid', '?')}",
            state="nothing was changed; that run is alive",
            next=f"wait for it, or look: invoke status --target {self._target}",
        )


def _shells(transports: Sequence[Transport]) -> list[ShellTransport]:
    return [cast("ShellTransport", transport) for transport in transports]


def _each(act: Callable[[T], R], items: Sequence[T]) -> list[R]:
    if len(items) <= 1:
        return [act(item) for item in items]
    with ThreadPoolExecutor(min(AT_ONCE, len(items))) as pool:
        return list(pool.map(act, items))


def _ask(
    transport: ShellTransport, values: Mapping[str, str], script: str, timeout: float = 30.0
) -> Result:
    given = "".join(f"{name}={quote(value)}\n" for name, value in values.items())
    text = f"h={path(transport.home)}\n{given}{script}"
    return transport.run(Command(text, timeout=timeout, brief=True))


def _standing(transport: ShellTransport, text: str) -> Standing:
    name = transport.host.name
    values = dict(line.partition("=")[::2] for line in text.splitlines())
    if "token" not in values:
        return Standing(name, None)
    lease = Lease(
        owner=values["owner"],
        run=values["run"],
        token=values["token"],
        fence=_number(values["fence"]),
        since=_when(values["since"]),
        expires=_when(values["expires"]),
        step=values["step"],
    )
    return Standing(name, lease, _number(values["now"]) >= _number(values["expires"]))


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _when(text: str) -> datetime:
    return datetime.fromtimestamp(_number(text), UTC)


def _clock(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")
