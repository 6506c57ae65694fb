"""A disk whose power fails: what is there afterwards is what had reached it at that instant.

The file system stands on an image that lies on an XFS of its own: there a clone of the image is
one instant of it, whatever is written meanwhile. What the kernel has yet to write is not in it.
"""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path
from typing import Self

from .guard import guard
from .tools import program

KINDS = ("ext4", "xfs", "btrfs")
_FICLONE = 0x40049409
"""linux/fs.h: the whole of one file becomes another's content, sharing its blocks."""
_MEGABYTES = {"ext4": 64, "xfs": 320, "btrfs": 160}


class Shelf:
    """Where the images of disks lie: an XFS that can clone files."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "shelf"
        self._image = directory / "shelf.img"
        self._token = 0

    def __enter__(self) -> Self:
        self.path.mkdir()
        _make("xfs", self._image, 1600)
        self._token = mount(self._image, self.path)
        return self

    def __exit__(self, *_: object) -> None:
        unmount(self.path, self._token)


class LossyDisk:
    """One disk on a shelf, mounted at `path` while it has power."""

    def __init__(self, shelf: Shelf, kind: str, path: Path) -> None:
        self.path = path
        self._image = shelf.path / f"{kind}.img"
        self._instant = shelf.path / f"{kind}.instant"
        self._fresh = shelf.path / f"{kind}.fresh"
        if not self._fresh.exists():
            _make(kind, self._fresh, _MEGABYTES[kind])
        self._token = 0

    def __enter__(self) -> Self:
        """Empty, as it was made."""
        self.path.mkdir(parents=True, exist_ok=True)
        _clone(self._fresh, self._image)
        self._token = mount(self._image, self.path)
        return self

    def instant(self) -> None:
        """This is when its power fails; whoever writes goes on until somebody ends them."""
        _clone(self._image, self._instant)

    def power_on(self) -> None:
        """Mounted again, with what had reached it by then. Nobody has a file open there."""
        unmount(self.path, self._token)
        self._instant.replace(self._image)
        self._token = mount(self._image, self.path)

    def __exit__(self, *_: object) -> None:
        unmount(self.path, self._token)


def mount(image: Path, path: Path) -> int:
    """Mount an image; returns what `unmount` wants to know."""
    _run("mount", "-o", "loop", str(image), str(path))
    return guard.add([program("umount"), "--lazy", str(path)])


def unmount(path: Path, token: int) -> None:
    _run("umount", str(path))
    guard.remove(token)


def _make(kind: str, image: Path, megabytes: int) -> None:
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    _run(f"mkfs.{kind}", "-q", str(image))


def _clone(image: Path, copy: Path) -> None:
    with image.open("rb") as source, copy.open("wb") as target:
        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())


def _run(name: str, *words: str) -> None:
    subprocess.run([program(name), *words], check=True, stdin=subprocess.DEVNULL)
