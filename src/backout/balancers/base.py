"""What the balancers do the same way: shell text on the machine where they run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from backout.errors import Refused, Unreachable
from backout.model import Balancer, Command, Member, PoolState, Result, State
from backout.ports import Transport

READING = 30.0
"""Seconds that a look at a balancer may take."""
CHANGING = 60.0
"""Seconds that it may take to change what it does."""


ESTABLISHED = r"""
echo "=== links"
if command -v ss >/dev/null 2>&1; then ss -Htn state established | awk '{ print $4 }'
else echo none; fi
"""
"""Shell text: the far ends of the connections that this machine has open."""


class Backend:
    """A balancer on a machine, and the two ways to run shell text there."""

    counts: ClassVar[bool] = False

    def __init__(self, balancer: Balancer, transport: Transport) -> None:
        self.balancer = balancer
        self.transport = transport

    @property
    def place(self) -> str:
        """Which balancer this is, for a person."""
        return f"{self.balancer.name} ({self.balancer.backend} on {self.transport.host.name})"

    def look(self) -> PoolState:
        raise NotImplementedError

    def spelled(self, wanted: Sequence[Member]) -> str:
        raise NotImplementedError

    def read(self, script: str) -> str:
        """What a text that only reads said. Raises Refused when it failed, and Unreachable."""
        result = self.transport.run(Command(script, timeout=READING))
        if result.ok:
            return result.stdout
        words = (result.stderr.strip() or result.stdout.strip()).splitlines()
        if result.state is State.UNREACHABLE:
            raise Unreachable(f"{self.place} cannot be asked: {result.reason}")
        raise self.unread((words or [result.reason or f"exit code {result.exit_code}"])[-1])

    def unread(self, why: str) -> Refused:
        return Refused(f"{self.place} cannot be read: {why}")

    def change(self, key: str, script: str) -> Result:
        """Run a text that changes what it does, under the caller's key."""
        title = f"traffic of {self.balancer.name}"
        return self.transport.run(Command(script, key=key, timeout=CHANGING, title=title))


def sections(text: str) -> Mapping[str, str]:
    """What a script printed below each line `=== NAME`."""
    parts = re.split(r"^=== (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
