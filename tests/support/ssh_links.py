"""What a transport to a real SSH host is made with, and what happens to it in the middle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from backout.adapters.transports.ssh import SshTransport
from backout.adapters.vault import Vault
from backout.model import SecretSource, Ssh

from .netns import NetnsBed
from .sshd import SshdBed
from .wait import eventually

HOME = "srv/app/.backout"
SECRET = "s3cr'et"
PATIENT = 30
"""Seconds that a host may take to answer: longer than any machine is busy for."""
Maker = Callable[..., SshTransport]


def one_secret() -> Vault:
    """A vault with one secret, TOKEN."""
    return Vault({"TOKEN": SecretSource(env="TOKEN")}, environ={"TOKEN": SECRET})


def settings(bed: SshdBed | NetnsBed, **changes: object) -> Ssh:
    """How a bed's hosts are reached; a host that is slow to answer is waited for."""
    given = {**bed.inventory_ssh(), "config": "/dev/null", "connect_timeout": PATIENT, **changes}
    return Ssh.model_validate(given)


def after(sign: Path, act: Callable[[], object]) -> threading.Thread:
    """Act as soon as a file exists."""

    def wait() -> None:
        eventually(sign.exists, saying=str(sign))
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread
