"""A machine near this one, for somebody farther away: runs texts that another process has made."""

from __future__ import annotations

from backout.adapters.transports.captured import Ran
from backout.adapters.transports.ssh import SshTransport
from backout.adapters.transports.ssh_connect import Dialer
from backout.adapters.vault import Vault
from backout.model import Host, Ssh


class Near(SshTransport):
    """It knows the texts' mark, and nothing else of them: what guards them is in them."""

    def __init__(self, host: Host, ssh: Ssh, mark: str, dialer: Dialer) -> None:
        super().__init__(host, ssh, "", Vault({}), dialer)
        self._mark = mark

    def carry(self, text: str, timeout: float, *, private: bool, brief: bool) -> Ran:
        """Run it, and gather what it says. Raises Unreachable when it certainly never began."""
        return self._execute(text, timeout, private=private, brief=brief)

    def glance(self, text: str) -> Ran | None:
        """Run a text that only reads, beside what is at work."""
        return self._glance(text)

    def end(self, pid: int) -> None:
        """End a process group. Raises Unreachable."""
        self._end(pid)
