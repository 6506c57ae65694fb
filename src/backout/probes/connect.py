"""A TCP connection to a name, however many addresses it has.

They are tried as a browser and curl do (RFC 8305): the families take turns, the next address does
not wait for one that is silent, and all of them share one timeout.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any

HEAD_START = 0.2
"""Seconds before the next address is tried beside one that does not answer."""
Address = tuple[Any, ...]


def connected(name: str, port: int, timeout: float) -> socket.socket:
    """The first connection that comes about. Raises TimeoutError, gaierror, or the OSError of the
    last address that said no."""
    deadline = time.monotonic() + timeout
    race = _Race(addresses(name, port, timeout), deadline)
    try:
        link = race.won()
    finally:
        race.close()
    link.setblocking(True)
    link.settimeout(max(0.001, deadline - time.monotonic()))
    return link


def addresses(name: str, port: int, timeout: float) -> Sequence[Address]:
    """All that a name has, in the order in which they are to be tried. Asked aside, for the
    system's resolver knows no timeout. Raises TimeoutError and gaierror."""
    pool = ThreadPoolExecutor(1, "resolve")
    try:
        asked = pool.submit(socket.getaddrinfo, name, port, type=socket.SOCK_STREAM)
        found = asked.result(timeout)
    except TooLate:
        raise TimeoutError from None
    except UnicodeError:
        raise socket.gaierror(f"{name} is no name") from None
    finally:
        pool.shutdown(wait=False)
    first = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    turns = chain.from_iterable(zip_longest(first, others))
    return tuple(each for each in turns if each)


class _Race:
    def __init__(self, addresses: Sequence[Address], deadline: float) -> None:
        self.waiting = list(addresses)
        self.deadline = deadline
        self.running = selectors.DefaultSelector()
        self.trouble = OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))

    def won(self) -> socket.socket:
        """The link that was there first."""
        while self.waiting or self.running.get_map():
            if self.waiting:
                self._start(self.waiting.pop(0))
            if link := self._awaited():
                return link
            if time.monotonic() >= self.deadline:
                raise TimeoutError
        raise self.trouble

    def _start(self, address: Address) -> None:
        family, kind, protocol, _name, place = address
        try:
            link = socket.socket(family, kind, protocol)
        except OSError as error:  # a family that this machine does not have
            self.trouble = error
            return
        link.setblocking(False)
        self.running.register(link, selectors.EVENT_WRITE)
        if (said := link.connect_ex(place)) not in (0, errno.EINPROGRESS):
            self._lost(link, said)

    def _awaited(self) -> socket.socket | None:
        """The winner, as soon as there is one, before the next address has its turn."""
        begun = time.monotonic()
        until = min(self.deadline, begun + HEAD_START) if self.waiting else self.deadline
        while self.running.get_map() and (left := until - time.monotonic()) > 0:
            for key, _events in self.running.select(left):
                link = key.fileobj
                assert isinstance(link, socket.socket)  # noqa: S101 - none else is registered
                if said := link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._lost(link, said)
                    if self.waiting:
                        return None
                    continue
                self.running.unregister(link)
                return link
        return None

    def _lost(self, link: socket.socket, said: int) -> None:
        self.trouble = OSError(said, os.strerror(said))
        self.running.unregister(link)
        link.close()

    def close(self) -> None:
        """End those that did not win."""
        for key in list(self.running.get_map().values()):
            with suppress(OSError):
                key.fileobj.close()  # type: ignore[union-attr]
        self.running.close()
