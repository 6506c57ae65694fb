"""`release`: what is on a host, to be held against what the last good run left there."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, ClassVar

from pydantic import Field

from backout.model import Boolean, Command, Observation, Options, Target, Words
from backout.ports import Defined, ProbeRequest
from backout.probes.base import EXCERPT, Kind

MOST = 16 * 1024
"""Of a longer file only the digest is kept."""
ALL = 48 * 1024
"""More than this of one host is not kept."""
LIVE = {"checkout": "checkout_of", "releases": "release_of"}
"""What asks, by strategy, which code is there."""

_NAME = r"[\w.-]*(?:passw|secret|token|api[_-]?key|private[_-]?key|credential)[\w.-]*"
_SECRET = re.compile(rf"(?P<name>{_NAME})(?P<quote>[\"']?)\s*[=:]\s*(?P<value>\S.*)", re.IGNORECASE)
_OPTION = re.compile(
    rf"(?P<name>(?<!\S)--?{_NAME})\s+(?P<value>\"[^\"]*\"|'[^']*'|(?!is\s#)[^-\s]\S*)",
    re.IGNORECASE,
)
"""As a command line has it: `--token x`."""
_LOGIN = re.compile(r"(?<=://)([^\s/@:]+):([^\s/@]+)(?=@)")
_ENVIRONMENT = re.compile(r"^\s*EnvironmentFile=-?(/\S+)", re.MULTILINE)
_ASSIGNED = re.compile(r"^(\s*Environment=)(.*)$")


class ReleaseOptions(Options):
    """What is looked at beside the commit, changed files, images and the service's definition."""

    shell_fields: ClassVar[tuple[str, ...]] = ("facts",)
    facts: Mapping[str, str] = Field(default_factory=dict)
    """By name, POSIX shell that only reads: what it prints is to stay as it is."""
    packages: Words = ()
    """Of dpkg or rpm: their versions."""
    files: Words = ()
    """Whole files, such as a proxy's configuration."""
    env: Words = ()
    """Files of NAME=VALUE: of values only their digests leave the host."""
    definition: Boolean = True
    """Also the unit file, program section, Compose file or PM2 definition of the service, and the
    images of its containers."""


class Release(Kind):
    """What is on a host. Whether that is as it was left is judged by the ledger."""

    Options: ClassVar[type[Options]] = ReleaseOptions
    per_host: ClassVar[bool] = True
    blames: ClassVar[bool] = False
    names: ClassVar[Mapping[str, str]] = {
        "standing": "what is on the host, line by line",
        "commit": "the commit that is on its disk",
        "changed": "tracked files that differ from it",
    }
    kinds: ClassVar[Mapping[str, str]] = {"commit": "text"}
    expects: ClassVar[Words] = ("size(standing) > 0",)
    judges_itself: ClassVar[bool] = True

    def observe(self, look: ProbeRequest) -> Observation:
        """Read all of it. What cannot be read is said, and then nothing passes."""
        started = time.monotonic()
        seen = _Seen()
        seen.take(_asked(look))
        if look.options.definition and look.target.service_on(look.host):
            seen.define(look)
        lines = list(seen.lines())
        elapsed = (time.monotonic() - started) * 1000
        if sum(map(len, lines)) > ALL:
            return Observation(error=f"more than {ALL // 1024} KiB: name less", elapsed_ms=elapsed)
        facts: dict[str, Any] = {"standing": lines, "changed": seen.found.get("changed") or []}
        if commit := seen.found.get("commit"):
            facts["commit"] = commit[0]
        return Observation(
            facts, elapsed_ms=elapsed, excerpt=seen.diff[:EXCERPT], unread="; ".join(seen.unread)
        )


@dataclass(slots=True)
class _Seen:
    """What was read, by label; None where there is no such thing."""

    found: dict[str, Sequence[str] | None] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    diff: str = ""

    def take(self, answer: str) -> None:
        """What the script said."""
        for part in answer.split("=== ")[1:] if answer.startswith("=== ") else ():
            self._part(part)

    def _part(self, part: str) -> None:
        label, *rows = part.splitlines()
        lines, end = [row[1:] for row in rows if row.startswith("|")], (rows or [""])[-1]
        if label == "diff":
            self.diff = "\n".join(map(masked, lines))
        elif end.startswith("+"):
            self.found[label] = [masked(line) for line in lines]
        elif end.startswith("-"):
            self.found[label] = None
        else:
            self.unread.append(f"{label} cannot be read: {end[1:] or 'the answer was cut short'}")

    def define(self, look: ProbeRequest) -> None:
        """The service's definition, as its backend knows it. Raises Refused and Unreachable."""
        restarter = look.restarter()
        if not isinstance(restarter, Defined):
            return
        defined = restarter.definition()
        for name, text in defined.items():
            lines = None if text is None else [masked(line) for line in text.splitlines()]
            self.found[f"definition {name}"] = lines
        beside = dict.fromkeys(_ENVIRONMENT.findall("\n".join(filter(None, defined.values()))))
        if paths := [path for path in beside if path not in look.options.env]:
            self.take(_run(look, _calls("env_of", paths)))

    def lines(self) -> Iterator[str]:
        """`LABEL: LINE` of everything, but of the commit, which each release changes."""
        for label, found in self.found.items():
            if label == "commit":
                continue
            if found is None:
                yield f"{label}: (absent)"
            else:
                yield from (f"{label}: {line}" for line in found or ("(empty)",))


def _asked(look: ProbeRequest) -> str:
    options = look.options
    return _run(
        look,
        (
            *_code(look.target),
            *_calls("file_of", options.files),
            *_calls("env_of", options.env),
            *_calls("package_of", options.packages),
            *(shlex.join(("fact_of", *fact)) for fact in options.facts.items()),
        ),
    )


def _code(target: Target) -> Iterator[str]:
    source = target.source
    if source and source.directory and source.strategy in LIVE:
        yield shlex.join((LIVE[source.strategy], source.directory))


def _calls(function: str, words: Iterable[str]) -> Iterator[str]:
    return (shlex.join((function, word)) for word in words)


def _run(look: ProbeRequest, calls: Iterable[str]) -> str:
    """Raises Unreachable."""
    script = "\n".join((f"most={MOST}", _program(), *calls))
    done = look.transport.run(Command(script, env=look.env, timeout=look.timeout))
    if not done.ok:
        return f"=== the host\n!{done.reason or done.stderr.strip() or 'no answer'}"
    return done.stdout


@cache
def _program() -> str:
    """Without the lines that are comments: it travels to hosts."""
    text = files(__package__).joinpath("standing.sh").read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def masked(line: str) -> str:
    """A line without what looks like a credential: its digest tells when it changes."""
    if assigned := _ASSIGNED.match(line):
        return f"{assigned[1]}{_digest(assigned[2])}"
    line = _LOGIN.sub(lambda found: f"{found[1]} and {_digest(found[2])}", line)
    return _SECRET.sub(_hidden, without_options(line))


def without_options(line: str) -> str:
    """Without the credentials of a command line alone; a line that has none any more stays."""
    return _OPTION.sub(_hidden, line)


def _hidden(found: re.Match[str]) -> str:
    return f"{found['name']} is {_digest(found['value'])}"


def _digest(text: str) -> str:
    return f"#{sha256(text.encode()).hexdigest()[:12]}"
