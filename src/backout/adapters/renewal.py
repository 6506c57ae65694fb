"""Leases are renewed while their run lives: by a thread beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from backout.adapters.standings import ask, each
from backout.adapters.transports.noted_shell import ShellTransport, taken
from backout.errors import Unreachable

ASK_MINE = 'ours || { cat "$home/lock/run" 2>/dev/null || :; exit 75; }\n'
"""Exit code 75, and whose the lease is, where it is not ours."""
RENEW = "bo_lock=$home/lock bo_ttl=$ttl; bo_booted; bo_renew\n"


class Renewal:
    """Renews the leases in the background while it is entered."""

    def __init__(
        self,
        hosts: Sequence[ShellTransport],
        token: str,
        ttl: float,
        warn: Callable[[str], None],
    ) -> None:
        self._hosts = hosts
        self._values = {"token": token, "ttl": str(round(ttl))}
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
            each(self._renew, self._hosts)

    def _renew(self, transport: ShellTransport) -> None:
        """While a command is at work its note holds the host, and its shell has renewed the lease
        for as long as that may take: a host may have no channel to spare for more."""
        if transport.at_work:
            return
        name = transport.host.name
        try:
            result = ask(transport, self._values, ASK_MINE + RENEW)
        except Unreachable as error:
            self._warn(f"the lease on {name} was not renewed: {error.what}")
            return
        if result.exit_code == 75:
            self._warn(taken(name, result.stdout.strip()))
        elif not result.ok:
            self._warn(f"the lease on {name} was not renewed: {result.reason}")
