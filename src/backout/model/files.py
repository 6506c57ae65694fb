"""What a file holds that somebody named: a device or a pipe in its place may never end."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def refuse_endless(path: Path) -> None:
    """Raises OSError for what is there and is neither a file nor a folder; nothing else is looked
    at."""
    ends = path.is_file() or path.is_dir() or str(path) == os.devnull
    if path.exists() and not ends:
        raise OSError(errno.EINVAL, "is no file")


def content_of(path: Path, most: int | None = None) -> bytes:
    """The whole of a file. Raises OSError, also for what may never end, and for more than `most`
    bytes."""
    refuse_endless(path)
    with path.open("rb") as stream:
        content = stream.read(-1 if most is None else most + 1)
    if most is not None and len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most} bytes")
    return content
