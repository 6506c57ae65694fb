"""A host that is a directory here, whose shells are followed call by call."""

from __future__ import annotations

import threading
from pathlib import Path

from backout.adapters.transports.captured import Ran
from backout.adapters.transports.local import LocalTransport
from backout.adapters.vault import Vault
from backout.model import Host

from .syscalls import Tracer
from .tools import program
from .wait import eventually

SHELLS = {
    "dash": ("dash",),
    "bash": ("bash", "--posix", "-c", 'eval "$(cat)"'),
    "busybox": ("busybox", "sh"),
}
PROGRAMS = frozenset({*SHELLS, "coreutils", "mv", "rm", "mkdir", "rmdir"})
"""Whose calls count: the shells', and those of what changes a directory for them."""
HELD = """
"$@"
code=$?
[ $code -lt 128 ] || kill -9 $$
exit $code
"""
STOPS = 'echo $$ >"$1.new"; mv "$1.new" "$1"; kill -STOP $$; shift; exec "$@"'


class TracedHost(LocalTransport):
    """While it has a `tracer`, whatever its shells do is seen by that."""

    def __init__(self, name: str, home: Path, shell: str) -> None:
        super().__init__(Host(name=name), str(home), Vault({}))
        self.tracer: Tracer | None = None
        self._words = (program(SHELLS[shell][0]), *SHELLS[shell][1:])
        self._pid = home.parent / f"{name}.pid"

    def shell(self) -> tuple[str, ...]:
        if self.tracer is None:
            return self._words
        stops = ("/bin/sh", "-c", STOPS, "-", str(self._pid), *self._words)
        return ("/bin/sh", "-c", HELD, "-", *stops)

    def _execute(
        self, text: str, timeout: float, *, private: bool = False, brief: bool = False
    ) -> Ran:
        if self.tracer is None:
            return super()._execute(text, timeout, private=private, brief=brief)
        follower = threading.Thread(target=self._follow, args=(self.tracer,))
        follower.start()
        ran = super()._execute(text, timeout, private=private, brief=brief)
        follower.join()
        return ran

    def _follow(self, tracer: Tracer) -> None:
        eventually(self._pid.exists, every=0.001, saying="a shell begins")
        pid = int(self._pid.read_text())
        self._pid.unlink()
        stat = Path(f"/proc/{pid}/stat")
        eventually(
            lambda: stat.read_text().rpartition(")")[2].split()[0] == "T",
            every=0.001,
            saying="it waits",
        )
        tracer.follow(pid).join()
