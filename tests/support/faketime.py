"""Wall clocks that jump for other programs, by libfaketime; how long anything takes is not touched.

Where it is not installed they stay right.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

NAME = ".faketimerc"
"""In the home directory of whoever runs, unless another file is named."""


def library() -> Path | None:
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def settings(file: Path | None = None) -> Mapping[str, str]:
    """What programs are to have in their environment, to follow what that file says."""
    found = library()
    if found is None:
        return {}
    words = ("NO_CACHE", "DONT_FAKE_MONOTONIC")
    ours = {"LD_PRELOAD": str(found), **{f"FAKETIME_{word}": "1" for word in words}}
    return {**ours, **({"FAKETIME_TIMESTAMP_FILE": str(file)} if file else {})}


def set_clock(file: Path, seconds: int) -> None:
    """What the clock is wrong by from now on."""
    file.write_text(f"{seconds:+d}\n")
