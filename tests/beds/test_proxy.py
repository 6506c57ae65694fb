"""What a client sees through the proxy's faults."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import sample_app
from support.ports import free_port
from support.proxy import Proxy


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    port = free_port()
    path = sample_app.write(tmp_path)
    with sample_app.run(path, "127.0.0.1", port), Proxy(("127.0.0.1", port)) as bed:
        sample_app.wait_healthy("127.0.0.1", port)
        yield bed


def test_it_forwards(proxy: Proxy) -> None:
    assert sample_app.ask(proxy.address, proxy.port)[0] == 200
    assert proxy.accepted == 1


def test_a_refusing_proxy_refuses_until_it_accepts_again(proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        sample_app.ask(proxy.address, proxy.port)
    proxy.accept()
    assert sample_app.ask(proxy.address, proxy.port)[0] == 200


def test_a_stalled_proxy_is_silence(proxy: Proxy) -> None:
    proxy.stall()
    with pytest.raises(TimeoutError):
        sample_app.ask(proxy.address, proxy.port, timeout=0.2)
    proxy.flow()
    assert sample_app.ask(proxy.address, proxy.port)[0] == 200


def test_a_cut_connection_is_reset(proxy: Proxy) -> None:
    with socket.create_connection((proxy.address, proxy.port)) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(10)
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            _read_to_end(client)


def test_a_delay_is_added_to_each_chunk(proxy: Proxy) -> None:
    proxy.delay = 0.2
    began = time.monotonic()
    assert sample_app.ask(proxy.address, proxy.port)[0] == 200
    assert time.monotonic() - began >= 0.4


def _read_to_end(client: socket.socket) -> None:
    while client.recv(4096):
        pass
