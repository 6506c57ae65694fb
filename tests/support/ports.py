"""Free TCP ports that two test processes never hand out twice.

A port is claimed with a kernel lock on a file named after it. The lock ends with the process,
so a crashed test run blocks nothing. The range lies below the ephemeral ports.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

FIRST, LAST = 20000, 32000
STRIDE = 7919
"""Has no divisor in common with their number."""
_claims: dict[int, int] = {}


def free_port(addresses: Iterable[str] = ("127.0.0.1",)) -> int:
    """Claim a port that nobody listens on at any of `addresses`, until `release` or exit."""
    wanted = tuple(addresses)
    for port in _in_any_order():
        if port not in _claims and claim(port):
            if all(_can_bind(address, port) for address in wanted):
                return port
            release(port)
    raise RuntimeError("no free port left for tests")


def _in_any_order() -> Iterator[int]:
    """Every port of the range once, beginning anywhere."""
    count = LAST - FIRST
    begin = random.SystemRandom().randrange(count)
    yield from (FIRST + (begin + number * STRIDE) % count for number in range(count))


def release(port: int) -> None:
    """Give a claimed port back."""
    descriptor = _claims.pop(port, None)
    if descriptor is not None:
        os.close(descriptor)


def accepts(address: str, port: int, timeout: float = 0.5) -> bool:
    """Say whether something accepts connections there."""
    try:
        with socket.create_connection((address, port), timeout):
            return True
    except OSError:
        return False


def claim(port: int) -> bool:
    """Claim this port; say whether that worked."""
    directory = Path(tempfile.gettempdir()) / f"backout-test-ports-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(directory / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    _claims[port] = descriptor
    return True


def _can_bind(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
