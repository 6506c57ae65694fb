"""Between operators and hosts: links that are slow, are cut, and heal."""

from __future__ import annotations

from enum import StrEnum

from proof.worlds.baton import Baton, Task
from proof.worlds.machine import Machine
from proof.worlds.process import Gathered, Process

from backout.adapters.transports.captured import Capture, Ran
from backout.adapters.transports.noted_shell import ShellTransport
from backout.adapters.vault import Vault
from backout.errors import Unreachable
from backout.model import Host


class Cut(StrEnum):
    """When a link is lost, as a command sees it."""

    BEFORE = "before it is sent"
    LOST = "with the command on its way, which never arrives"
    LATE = "with the command on its way, which arrives later"
    DURING = "while it runs"
    AFTER = "before its answer arrives"


class Link:
    """From one operator to one host."""

    def __init__(self, baton: Baton) -> None:
        self.baton = baton
        self.up = True
        self.healed = -1.0
        """When it came up again."""
        self.calm = False
        """Whether it stays as it is from now on."""
        self.slow = 0.0
        self.next: Cut | None = None
        """How the next command meets a cut."""
        self.down_for = 0.0
        self.late = 0.0
        self.waiting: set[Task] = set()

    def cut(self) -> None:
        """Whoever waits for an answer sees that there will be none."""
        if self.calm:
            return
        self.up = False
        for task in list(self.waiting):
            self.baton.wake(task)
        if self.down_for:
            self.baton.at(self.baton.now + self.down_for, self.heal)

    def heal(self) -> None:
        self.up = True
        self.healed = self.baton.now

    @property
    def away(self) -> bool:
        """Whether nobody can have asked over it just now."""
        return not self.up or self.healed == self.baton.now

    def meets(self) -> Cut | None:
        """What the command that is sent now meets."""
        found, self.next = self.next, None
        return found


class Wire(ShellTransport):
    """A machine that is reached over a link; without one it is this machine."""

    def __init__(
        self, host: Host, home: str, vault: Vault, machine: Machine, link: Link | None
    ) -> None:
        super().__init__(host, home, vault)
        self.machine = machine
        self.link = link
        self.baton = machine.baton

    def open(self) -> None:
        """Raises Unreachable."""
        self.baton.point()
        if not self._there():
            raise self._unreachable()

    def put(self, content: bytes, path: str, mode: int = 0o644) -> None:  # noqa: ARG002 - the seam's form
        self.machine.put(path, content.decode())

    def close(self) -> None:
        """Nothing is held."""

    def _there(self) -> bool:
        return self.machine.up and (self.link is None or self.link.up)

    def _unreachable(self) -> Unreachable:
        return Unreachable(
            f"{self.host.name} cannot be reached", where=self.host.name, next="mend the link"
        )

    def _execute(
        self,
        text: str,
        timeout: float,
        *,
        private: bool = False,  # noqa: ARG002 - the seam's form
        brief: bool = False,  # noqa: ARG002 - the seam's form
    ) -> Ran:
        self.baton.point()
        ran = Ran(Capture(self._mark), Capture(self._mark), began=self.baton.now)
        out, err = Gathered(), Gathered()
        if self.link is None:
            self._awaited(self.machine.start(text, out, err), ran, timeout)
        else:
            self._sent(self.link, text, ran, out, err, timeout)
        ran.out.feed("".join(out.parts).encode())
        ran.err.feed("".join(err.parts).encode())
        return ran

    def _sent(
        self, link: Link, text: str, ran: Ran, out: Gathered, err: Gathered, timeout: float
    ) -> None:
        if link.slow:
            self.baton.sleep(link.slow * self.baton.random.random())
        meets = link.meets()
        if meets is Cut.BEFORE:
            link.cut()
        if not self._there():
            self.baton.sleep(1.0)
            raise self._unreachable()
        if meets in (Cut.LOST, Cut.LATE):
            if meets is Cut.LATE:
                boots = self.machine.boots
                self.baton.at(self.baton.now + link.late, lambda: self._arrives(text, boots))
            link.cut()
            ran.cut = self._gone()
            return
        process = self.machine.start(text, out, err)
        if meets is Cut.DURING:
            self.baton.at(self.baton.now + link.late, link.cut)
        self._awaited(process, ran, timeout)
        if meets is Cut.AFTER:
            link.cut()
            ran.exit_code, ran.cut = None, self._gone()
            out.parts.clear()
            err.parts.clear()

    def _arrives(self, text: str, boots: int) -> None:
        """Where the host has begun anew since, nobody there knows that connection."""
        if self.machine.up and self.machine.boots == boots:
            self.machine.start(text, Gathered(), Gathered())

    def _gone(self) -> str:
        name = self.host.name
        return f"the link to {name} was lost, or its shell killed, before the end was seen"

    def _awaited(self, process: Process, ran: Ran, timeout: float) -> None:
        (task,) = process.threads
        waiting = self.link.waiting if self.link else set[Task]()
        me = self.baton.me
        waiting.add(me)
        try:
            self.baton.join(task, timeout)
        finally:
            waiting.discard(me)
        if process.ends is not None and self._there():
            ran.exit_code = process.ends
        elif task.done or process.over or not self._there():
            ran.cut = self._gone()
        else:
            ran.timed_out = True
            ran.cut = f"timed out after {timeout:g} s; its process group was ended"
            self.machine.end(process)

    def _end(self, pid: int) -> None:
        self.open()
        process = self.machine.processes.get(pid)
        if process is not None:
            self.machine.end(process)
