"""Libraries that are not installed with Backout itself: which are missing, and how to get them.

How depends on how Backout was installed. Its own metadata and pip's record of where it came from
tell; so do the receipts that pipx and uv leave in an environment of theirs.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_HINT = re.compile(r"pip install 'backout\[([a-z]+)\]'")


@dataclass(frozen=True)
class Installed:
    """A Backout in the environment of one interpreter."""

    about: Distribution
    prefix: Path
    python: str
    has_pip: bool = True

    @classmethod
    def here(cls) -> Installed | None:
        """The one that runs; None where its sources run that nobody installed."""
        about = _installed("backout")
        if about is None:
            return None
        has_pip = find_spec("pip") is not None
        return cls(about, Path(sys.prefix), sys.executable, has_pip)

    def requirements(self, extra: str) -> list[str]:
        """What an extra brings, as pip words it."""
        found = (line.partition(";") for line in self.about.requires or ())
        return [what.strip() for what, _, when in found if extra in _EXTRA.findall(when)]

    def lacks(self, extra: str) -> list[str]:
        """The packages of an extra that are not there."""
        names = (_NAME.match(each) for each in self.requirements(extra))
        return [name[0] for name in names if name and not _installed(name[0])]

    def extra_of(self, module: str) -> str:
        """The extra that brings a module; empty when none does."""
        for extra in self.about.metadata.get_all("Provides-Extra") or ():
            names = (_NAME.match(each) for each in self.requirements(extra))
            if extra != "test" and module in [n[0].replace("-", "_") for n in names if n]:
                return str(extra)
        return ""

    def getting(self, extra: str) -> str:
        """The command that installs an extra into this environment."""
        if (self.prefix / "pipx_metadata.json").exists():
            return shlex.join(["pipx", "inject", "backout", *self.requirements(extra)])
        if (self.prefix / "uv-receipt.toml").exists():
            # It is made anew from these words: what is there already has to be named again.
            named = [each for each in (*self._whole(), extra) for each in self.requirements(each)]
            brought = [word for each in dict.fromkeys(named) for word in ("--with", each)]
            return shlex.join(["uv", "tool", "install", self._place or "backout", *brought])
        pip = [self.python, "-m", "pip", "install"]
        if not self.has_pip:
            pip = ["uv", "pip", "install", "--python", self.python]
        return shlex.join([*pip, *self._source(extra)])

    def _whole(self) -> Iterator[str]:
        """The extras of which nothing is missing."""
        for extra in self.about.metadata.get_all("Provides-Extra") or ():
            if self.requirements(extra) and not self.lacks(extra):
                yield extra

    @property
    def _place(self) -> str:
        """The file or folder that it was installed from; empty when that is not there."""
        url = str(self._origin.get("url", ""))
        path = unquote(urlsplit(url).path)
        return path if url.startswith("file:") and Path(path).exists() else ""

    def _source(self, extra: str) -> list[str]:
        """Where it came from, as pip takes it again: a clone, a file, an address, the index."""
        url = str(self._origin.get("url", ""))
        if "vcs_info" in self._origin:
            return [f"backout[{extra}] @ {self._origin['vcs_info']['vcs']}+{url}"]
        if not self._place:
            return [f"backout[{extra}]"]
        editable = self._origin.get("dir_info", {}).get("editable")
        return [*(["-e"] if editable else []), f"{self._place}[{extra}]"]

    @cached_property
    def _origin(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = json.loads(
            self.about.read_text("direct_url.json") or "{}"
        )
        return found


def _installed(package: str) -> Distribution | None:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return distribution(package)
    except PackageNotFoundError:
        return None


def missing(extras: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Each of the extras that is not whole here, with the packages that it lacks."""
    here = Installed.here()
    for extra in dict.fromkeys(each for each in extras if each and here):
        if here and (lacking := here.lacks(extra)):
            yield extra, lacking


def hint(extra: str) -> str:
    """How an error words it; `spelled` says it for this installation."""
    return f"pip install 'backout[{extra}]'"


def spelled(text: str) -> str:
    """`text` with every `hint` as the command that works here."""
    here = Installed.here() if _HINT.search(text) else None
    return _HINT.sub(lambda found: here.getting(found[1]), text) if here else text


def extra_of(module: str) -> str:
    """The extra that brings a module; empty when none does, or nobody can tell."""
    here = Installed.here()
    return here.extra_of(module) if here else ""
