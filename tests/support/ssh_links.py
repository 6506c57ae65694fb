"""What a transport to a real SSH host is made with."""

from __future__ import annotations

from collections.abc import Callable

from backout.adapters.transports.ssh import SshTransport
from backout.adapters.vault import Vault
from backout.model import SecretSource, Ssh

from .netns import NetnsBed
from .sshd import SshdBed

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
