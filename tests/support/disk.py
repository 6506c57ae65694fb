"""A small file system that a test can fill."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .guard import guard
from .machine import Machine
from .tools import program


class SmallDisk:
    """A mounted tmpfs; on a test machine it is seen by that machine alone."""

    def __init__(self, path: Path, machine: Machine | None = None) -> None:
        self.path = path
        self._machine = machine

    def fill(self) -> None:
        """Use up every free byte."""
        self._run(["sh", "-c", f"cat /dev/zero > '{self.path}/filler' 2>/dev/null; true"])

    def fill_with(self, what: str) -> None:
        """Use up every free byte, or all that it can have of files."""
        one = "while (: >$i) 2>/dev/null; do i=$((i + 1)); done"
        self.fill() if what == "bytes" else self._run(["sh", "-c", f"cd '{self.path}'; i=0; {one}"])

    def empty(self) -> None:
        """Give the space back."""
        self._run(["rm", "-f", f"{self.path}/filler"])

    def freeze(self) -> None:
        """Let it be read only."""
        self._run([program("mount"), "-o", "remount,ro", str(self.path)])

    def thaw(self) -> None:
        """Let it be written again."""
        self._run([program("mount"), "-o", "remount,rw", str(self.path)])

    def mount(self, kilobytes: int, inodes: int = 0) -> None:
        """Mount it, for so many files at most unless they are 0."""
        self._run(["mkdir", "-p", str(self.path)])
        options = ["-t", "tmpfs", "-o", f"size={kilobytes}k,nr_inodes={inodes}", "small-disk"]
        self._run([program("mount"), *options, str(self.path)])

    def unmount(self) -> None:
        """Unmount it, in use or not."""
        self._run([program("umount"), "--lazy", str(self.path)])

    def _run(self, argv: list[str]) -> None:
        command = self._machine.command(argv) if self._machine else argv
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@contextmanager
def small_disk(
    path: Path, machine: Machine | None = None, *, kilobytes: int = 4096, inodes: int = 0
) -> Iterator[SmallDisk]:
    """A small disk at `path`, on this machine or on a test machine."""
    disk = SmallDisk(path, machine)
    disk.mount(kilobytes, inodes)
    token = None if machine else guard.add([program("umount"), "--lazy", str(path)])
    try:
        yield disk
    finally:
        if machine is None or machine.up:
            disk.unmount()
        if token is not None:
            guard.remove(token)
