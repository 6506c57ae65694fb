"""The link under a connection: what Paramiko makes of it here, and what it lets go of once it
stands. A thousand of them stay open for a whole run."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import paramiko
from paramiko.packet import Packetizer

from backout.adapters.transports.ssh_proxy import Proxy

_NOBODY_WAITS = threading.Event()
"""What a link sets when its keys are exchanged anew, or it ends."""


def link(*place: Any, **words: Any) -> paramiko.Transport:
    """A transport that prefers the ciphers which seal a packet by themselves: the others need
    a code for each packet (MAC), which Paramiko checks byte by byte in Python."""
    sock, *rest = place
    through = Proxy(sock) if isinstance(sock, paramiko.ProxyCommand) else sock
    made = paramiko.Transport(through, *rest, **{**words, "packetizer_class": Packets})
    options = made.get_security_options()
    options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)
    return made


class Packets(Packetizer):
    """A handshake ends in time by the clock. Paramiko's own starts a thread to wait for that, keeps
    it as long as the link, and stops it anew with every packet that comes."""

    _until = math.inf

    def start_handshake(self, timeout: float) -> None:
        """It may take so many seconds."""
        self._until = time.monotonic() + timeout

    def handshake_timed_out(self) -> bool:
        """Whether it took longer."""
        return time.monotonic() > self._until

    def complete_handshake(self) -> None:
        """From now on it may take as long as it likes."""
        self._until = math.inf


def settle(link: Any) -> None:
    """Let go of what only the handshake and the login of a Paramiko transport needed."""
    link.completion_event = link.auth_handler.auth_event = _NOBODY_WAITS
    link.auth_handler.private_key = None
    link._latest_kex_init = b""
