"""One real SSH host, and transports to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backout.adapters.transports.ssh import SshTransport
from backout.model import Host
from support.ssh_links import HOME, Maker, one_secret, settings
from support.sshd import SshdBed, SshdHost


@pytest.fixture
def make(sshd_bed: SshdBed) -> Iterator[Maker]:
    """Makes transports to web1, by another address if need be, and closes them."""
    made = []

    def maker(port: int = 0, address: str = "", **changes: object) -> SshTransport:
        web1 = sshd_bed["web1"]
        host = Host(name="web1", address=address or web1.address, port=port or web1.port)
        made.append(SshTransport(host, settings(sshd_bed, **changes), HOME, one_secret()))
        return made[-1]

    yield maker
    for transport in made:
        transport.close()


@pytest.fixture
def web1(make: Maker) -> SshTransport:
    return make()


@pytest.fixture
def host(sshd_bed: SshdBed) -> SshdHost:
    return sshd_bed["web1"]


@pytest.fixture(params=["", "run-1/step"], ids=["reading", "changing"])
def key(request: pytest.FixtureRequest) -> str:
    return str(request.param)
