"""A service with two slots on one machine: which one is live is asked, never remembered.

What was left running in the idle slot is on record beside the host's release file, so that whoever
deploys next knows it from what nobody of ours has put there; where it is to end after a while, a
process of its own waits there for that, and ends it unless somebody has claimed it before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from backout.errors import BackoutError, Refused, Unreachable
from backout.model import Command, Identity, Member, Result, State
from backout.model.operands import shell_path
from backout.ports import Defined, Marked, Pool, Restarter, Slotted, Transport
from backout.restarters.backend import READING, nobody_knows, quote, script

Text = tuple[str, tuple[tuple[str, str], ...]]
"""Shell text, and the environment that it needs."""
ENDING = 30
"""Tenths of a second, times ten, that whoever ends the old one is waited for."""


@dataclass(frozen=True, slots=True)
class CommandSwitch:
    """Two shell texts on the service's host: one that prints the live slot, and for each slot
    one that sends traffic to it."""

    transport: Transport
    read: Text
    moves: Mapping[str, Text]
    title: str

    def live(self) -> str:
        text, env = self.read
        result = self.transport.run(Command(text, env=env, timeout=READING))
        if not result.ok:
            kind = Unreachable if result.state is State.UNREACHABLE else Refused
            raise kind(f"where traffic of {self.title} goes to: {nobody_knows(result).detail}")
        return result.stdout.strip()

    def found(self, to: str) -> Member | None:  # noqa: ARG002 - it knows nothing of the slots
        return None

    def move(self, key: str, to: str) -> Result:
        text, env = self.moves[to]
        title = f"moving traffic of {self.title} to {to}"
        return self.transport.run(Command(text, env=env, key=key, title=title))

    @property
    def asked_there(self) -> str:
        """Shell text that prints the live slot on the machine itself; empty where none can."""
        text, env = self.read
        return "" if env else text


@dataclass(frozen=True, slots=True)
class PoolSwitch:
    """A balancer, in which each slot is a member: one of them takes requests."""

    name: str
    pools: Sequence[Pool]
    """The same pool, on each machine where the balancer runs."""
    members: Mapping[str, str]
    """Slot -> what it is called there."""
    looked: dict[int, dict[str, Member]] = field(default_factory=dict)
    """What each pool was when it was asked who is live; good for one move."""

    def live(self) -> str:
        found = {self._live(pool) for pool in self.pools}
        if len(found) > 1:
            raise self._unclear(f"to {' and to '.join(sorted(found))}, by one machine or another")
        return found.pop()

    def _live(self, pool: Pool) -> str:
        found = self.looked[id(pool)] = self._look(pool)
        takes = [slot for slot, member in found.items() if member.takes]
        if len(takes) != 1:
            raise self._unclear("to both slots" if takes else "to none of the slots")
        return takes[0]

    def _look(self, pool: Pool) -> dict[str, Member]:
        state = pool.look()
        found = {slot: state.member(name) for slot, name in self.members.items()}
        if lacking := [self.members[slot] for slot, member in found.items() if member is None]:
            known = ", ".join(each.name for each in state.members) or "none"
            raise Refused(f"{self.name} has no member {' and no '.join(lacking)}; it has: {known}")
        return {slot: member for slot, member in found.items() if member}

    def _unclear(self, words: str) -> Refused:
        return Refused(
            f"{self.name} sends requests {words}: it was changed by hand, or never set up",
            next="let one of the two slots take requests there, then try again",
        )

    def found(self, to: str) -> Member | None:
        """By the checks of one that finds it ill, if there is such a one."""
        found = [self._look(pool)[to] for pool in self.pools]
        return next((each for each in found if each.ill), found[0])

    def move(self, key: str, to: str) -> Result:
        """On all of its machines, the way on before the way off."""
        results = [self._move(pool, key, to) for pool in self.pools]
        return next((result for result in results if not result.ok), results[-1])

    def _move(self, pool: Pool, key: str, to: str) -> Result:
        members = self.looked.pop(id(pool), None) or self._look(pool)
        others = [member.out() for slot, member in members.items() if slot != to]
        return pool.apply(key, [replace(members[to], takes=True), *others])

    @property
    def asked_there(self) -> str:
        """Only from here can it be asked."""
        return ""


class Captured:
    """Reads as the machine's own transport does, and only takes down what would change it."""

    def __init__(self, transport: Transport) -> None:
        self.host, self.taken = transport.host, list[Command]()
        self._run = transport.run
        self.recall, self.unexplained = transport.recall, transport.unexplained
        self.began = transport.began
        self.put, self.close = transport.put, transport.close

    def run(self, command: Command) -> Result:
        if not command.key:
            return self._run(command)
        self.taken.append(command)
        return Result(State.DONE, exit_code=0)


@dataclass(frozen=True, slots=True)
class BlueGreen:
    """Both slots' backends behind one: asked who serves, it answers of the slot that is live."""

    name: str
    switch: CommandSwitch | PoolSwitch
    backends: Mapping[str, Callable[[Transport], Restarter]]
    proofs: Mapping[str, Text]
    titles: Mapping[str, str]
    transport: Transport
    home: str
    keep_for: float | None = None
    wrap: Callable[[Restarter], Restarter] = lambda restarter: restarter

    # --- as one service ------------------------------------------------------------------

    def identity(self) -> Identity:
        """Who serves in the live slot."""
        try:
            live = self.live()
        except BackoutError as error:
            return Identity(up=False, known=False, detail=error.what)
        seen = self.slot(live).identity()
        return replace(seen, detail=f"{live} is live: {seen.detail}")

    def restart(self, key: str) -> Result:
        return self.slot(self.live()).restart(key)

    def stop(self, key: str) -> Result:
        """Both of them."""
        results = [self.slot(name).stop(f"{key}~{name}") for name in self.backends]
        return next((result for result in results if not result.ok), results[-1])

    def logs(self, lines: int) -> str:
        return self.slot(self.live()).logs(lines)

    def streams(self, lines: int) -> Mapping[str, str]:
        return self.slot(self.live()).streams(lines)

    def definition(self) -> Mapping[str, str | None]:
        live = self.backends[self.live()](self.transport)
        return live.definition() if isinstance(live, Defined) else {}

    def find(self) -> Sequence[Mapping[str, str]]:
        return tuple(line for name in self.backends for line in self.slot(name).find())

    # --- as two slots --------------------------------------------------------------------

    def live(self) -> str:
        """The slot that traffic goes to, asked. Raises Refused, and Unreachable."""
        found = self.switch.live()
        if found in self.backends:
            return found
        slots = " and ".join(self.backends)
        raise Refused(
            f"traffic of {self.name} goes to {found or 'nothing'!r}, and its slots are {slots}:"
            " it was changed by hand, or `switch` does not say which of them is live",
            next="send it to one of its slots, as `switch` would, then try again",
        )

    def other(self, name: str) -> str:
        return next(each for each in self.backends if each != name)

    def slot(self, name: str) -> Restarter:
        return self.wrap(self.backends[name](self.transport))

    def title(self, name: str) -> str:
        return self.titles[name]

    def mark(self, name: str, seen: Identity) -> str:
        backend = self.backends[name](self.transport)
        return backend.mark(seen) if isinstance(backend, Marked) else ""

    def bears(self, name: str, mark: str) -> bool:
        backend = self.backends[name](self.transport)
        return isinstance(backend, Marked) and backend.bears(mark)

    def answers(self, name: str) -> Result:
        text, env = self.proofs[name]
        return self.transport.run(Command(text or ":", env=env, timeout=READING))

    def move(self, key: str, to: str) -> Result:
        return self.switch.move(key, to)

    def found(self, to: str) -> Member | None:
        return self.switch.found(to)

    def within(self, wrap: Callable[[Restarter], Restarter]) -> Slotted:
        return replace(self, wrap=wrap)

    @property
    def contested(self) -> bool:
        return self.keep_for is not None

    # --- what is kept --------------------------------------------------------------------

    def kept(self) -> str:
        result = self.transport.run(
            Command(f"cat {self._folder}/kept.* 2>/dev/null || :", timeout=READING)
        )
        if result.state is State.UNREACHABLE:
            raise Unreachable(result.reason)
        return result.stdout.strip()

    def keep(self, key: str, name: str, seen: Identity) -> Result:
        token = _flat(key)
        lines = (
            "umask 077",
            f"mkdir -p {self._folder}",
            f"cd {self._folder}",
            f"printf '%s\\n' {quote(seen.value)} >{token}.new",
            "rm -f kept.*",
            f"mv {token}.new kept.{token}",
            self._ender(key, name, token),
        )
        return self.transport.run(Command(script(lines), timeout=READING, fenced=True))

    def claim(self) -> Result:
        lines = (
            f"cd {self._folder} 2>/dev/null || exit 0",
            "rm -f kept.*",
            "n=0",
            f'while [ -n "$(ls | grep ^ending)" ] && [ $n -lt {ENDING} ]; do',
            "  sleep 0.1; n=$((n + 1))",
            "done",
            "ls | grep ^ending || :",
            "rm -f ending.*",
        )
        return self.transport.run(Command(script(lines), timeout=READING, fenced=True))

    def _ender(self, key: str, name: str, token: str) -> str:
        """Shell text that leaves a process behind which ends what is kept when its time is over:
        whoever renames the record first has the word."""
        read, stop = self.switch.asked_there, self._stop_text(key, name)
        if self.keep_for is None or not read or not stop:
            return ""
        ending = (
            f"sleep {self.keep_for:g}",
            f"mv kept.{token} ending.{token} 2>/dev/null || exit 0",
            f"live=$({read}) || live={quote(name)}",
            f'[ "$live" = {quote(name)} ] || {{ {stop}\n}}',
            f"rm -f ending.{token}",
        )
        return f"setsid sh -c {quote(script(ending))} </dev/null >/dev/null 2>&1 &"

    def _stop_text(self, key: str, name: str) -> str:
        captured = Captured(self.transport)
        self.backends[name](captured).stop(key)
        return "\n".join(command.script for command in captured.taken if not command.env)

    @property
    def _folder(self) -> str:
        here = self.transport.host.connection == "local"
        return shell_path(f"{self.home}/slots/{_flat(self.name)}", here=here)


def _flat(name: str) -> str:
    """A service's name, which may be a template, as the name of a directory."""
    return sha256(name.encode()).hexdigest()[:12]
