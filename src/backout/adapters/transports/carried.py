"""A machine that only another zone reaches: a carrier, a worker there, runs the same shell text.

To a run that is a link like any other. A carrier that dies after it took the text is a link that
was cut; a text that nobody took never began. What guards a command is in its text: the lease, the
note, and the void; so they hold on the host, however late a carrier wakes up.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from backout.adapters.carrying import parcels
from backout.adapters.carrying.parcels import Cut
from backout.adapters.transports import receiving
from backout.adapters.transports.captured import Capture, Ran
from backout.adapters.transports.noted_shell import ShellTransport
from backout.adapters.transports.shell_text import LOOK
from backout.errors import Unreachable
from backout.model import Host, Observation, Ssh
from backout.ports import Vault

LEEWAY = 90.0
"""Seconds that it may take to connect there, and to end there what outlasted its time."""
CONNECTS = 6
"""So many connect timeouts come on top of it."""
LARGEST = 32 * 2**20
"""Bytes of a file that go through the ledger."""


class Sends(Protocol):
    """Who sends to the carriers of a zone; see `carrying.sender`."""

    def send(self, zone: str, host: str, words: bytes, within: float) -> tuple[bytes, str]: ...


class CarriedTransport(ShellTransport):
    """One machine, over whoever carries for its zone."""

    def __init__(self, host: Host, ssh: Ssh, home: str, vault: Vault, sender: Sends) -> None:
        super().__init__(host, home, vault)
        self._ssh = ssh
        self._sender = sender

    def open(self) -> None:
        """See that it is reached rather than at the first use. Raises Unreachable."""
        try:
            self._opened()
        except Cut:  # its carrier is gone: nothing was begun, and another may be there
            self._opened_at_last()

    def _opened(self) -> None:
        answer, by = self._ask(LOOK, parcels.OPEN)
        self._refuse(answer, by)

    def _opened_at_last(self) -> None:
        try:
            self._opened()
        except Cut as error:
            raise Unreachable(f"{self.host.name} cannot be reached: {error}") from error

    def close(self) -> None:
        """Nothing is held here: a carrier lets go of what is not used."""

    def put(self, content: bytes, path: str, mode: int = 0o644) -> None:
        """Write a file, whole or not at all."""
        if len(content) > LARGEST:
            where = f"{path} on {self.host.name}"
            said = f"more than {LARGEST // 2**20} MB do not go through the ledger"
            raise OSError(None, f"{said}; nothing was replaced", where)
        text = receiving.script(content, path, mode, self._mark)
        ran = self._execute(text, receiving.seconds(content), private=True)
        receiving.judge(ran, path, self.host.name)

    def observe(self, about: Mapping[str, Any], timeout: float) -> tuple[Observation, Any]:
        """What a look from there sees, and its memory. Raises Unreachable."""
        try:
            answer, by = self._ask(timeout, parcels.OBSERVE, **about)
            self._refuse(answer, by)
            return parcels.observed(answer)
        except Cut as error:
            raise Unreachable(f"nobody knows what was seen there: {error}") from error

    # --- commands

    def _execute(
        self, text: str, timeout: float, *, private: bool = False, brief: bool = False
    ) -> Ran:
        how = {"timeout": timeout, "private": private, "brief": brief}
        return self._shell(timeout, parcels.RUN, text=text, **how) or self._cut("no shell answered")

    def _glance(self, text: str) -> Ran | None:
        try:
            return self._shell(LOOK, parcels.GLANCE, text=text)
        except Unreachable:
            return None

    def _end(self, pid: int) -> None:
        self._shell(LOOK, parcels.END, pid=pid)

    def _shell(self, lasting: float, what: str, **about: Any) -> Ran | None:
        began = time.monotonic()
        try:
            answer, by = self._ask(lasting, what, **about)
            self._refuse(answer, by)
            return parcels.ran(answer, began)
        except Cut as error:
            return self._cut(str(error))

    def _cut(self, why: str) -> Ran:
        ran = Ran(Capture(self._mark), Capture(self._mark))
        ran.cut = f"the way to {self.host.name} was lost before the end was seen: {why}"
        return ran

    def _ask(self, lasting: float, what: str, **about: Any) -> tuple[Mapping[str, Any], str]:
        words = parcels.asked(what, self.host, self._ssh, mark=self._mark, **about)
        within = lasting + LEEWAY + CONNECTS * self._ssh.connect_timeout
        answer, by = self._sender.send(self.host.zone, self.host.name, words, within)
        return parcels.read(answer), by

    def _refuse(self, answer: Mapping[str, Any], by: str) -> None:
        try:
            parcels.refuse(answer)
        except Unreachable as error:
            error.what = f"{error.what}, from {by}, a worker of zone {self.host.zone}"
            raise
