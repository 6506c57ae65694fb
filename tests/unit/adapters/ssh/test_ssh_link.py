"""What a link holds once it stands: a thousand of them stay open for a whole run."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from backout.adapters.transports.ssh_link import Packets
from backout.model import Command
from support.ssh_links import Maker


def test_an_open_connection_holds_nothing_of_its_handshake_and_its_login(make: Maker) -> None:
    machines = make(), make()
    links: list[Any] = [machine._link() for machine in machines]
    for link in links:
        assert link.kex_engine is link.auth_handler.private_key is None
        assert not link._latest_kex_init
        assert link.packetizer._Packetizer__timer is None
    waits = (
        wait for link in links for wait in (link.completion_event, link.auth_handler.auth_event)
    )
    assert len(set(waits)) == 1, "each holds what nobody waits for any more"
    for machine in machines:
        assert machine._connection is not None
        assert not machine._connection.client.get_host_keys()


def test_keys_are_exchanged_anew_on_such_a_connection(make: Maker, key: str) -> None:
    machine = make()
    link: Any = machine._link()
    session, before = link.session_id, link.H
    link.renegotiate_keys()
    assert link.session_id == session
    assert before != link.H
    assert machine.run(Command("echo hi", key=key)).stdout == "hi\n"
    assert machine._link() is link


def test_a_handshake_ends_by_the_clock_and_a_link_that_stands_does_not() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.01)
        packets = Packets(ours)
        before = threading.active_count()
        packets.start_handshake(0.05)
        assert threading.active_count() == before, "nobody waits beside it"
        with pytest.raises(EOFError):
            packets.read_all(1)
        packets.complete_handshake()
        threading.Timer(0.1, theirs.send, (b"x",)).start()
        assert packets.read_all(1) == b"x"
