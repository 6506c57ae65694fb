"""`command`: shell text that only reads, on a host or here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from backout.model import Command, Observation, Options, State, Words
from backout.model.values import Partial
from backout.ports import ProbeRequest
from backout.probes.base import Kind, ending


class CommandOptions(Options):
    """POSIX shell, run with `set -e`."""

    short: ClassVar[str] = "run"
    shell_fields: ClassVar[tuple[str, ...]] = ("run",)
    run: str
    cwd: str = ""
    env: Mapping[str, str] = Field(default_factory=dict)


class CommandProbe(Kind):
    """A non-zero exit is an answer; an end that nobody saw is not."""

    Options: ClassVar[type[Options]] = CommandOptions
    names: ClassVar[Mapping[str, str]] = {
        "exit_code": "the exit status",
        "stdout": "standard output without its last line breaks",
        "stderr": "standard error without its last line breaks",
        "elapsed_ms": "the whole command in milliseconds",
    }
    kinds: ClassVar[Mapping[str, str]] = {
        "elapsed_ms": "a number",
        "exit_code": "a number",
        "stdout": "text",
        "stderr": "text",
    }
    expects: ClassVar[Words] = ("exit_code == 0",)

    def observe(self, look: ProbeRequest) -> Observation:
        """Run it to its end."""
        options = look.options
        result = look.transport.run(
            Command(
                options.run,
                cwd=options.cwd,
                env=(*options.env.items(), *look.env),
                timeout=look.timeout,
            )
        )
        elapsed = result.seconds * 1000
        stdout, stderr = _trimmed(result.stdout), _trimmed(result.stderr)
        excerpt = ending("\n".join(part for part in (stdout, stderr) if part))
        if result.exit_code is None or result.state not in (State.DONE, State.FAILED):
            reason = result.reason or "the end of the command was not seen"
            return Observation(error=reason, elapsed_ms=elapsed, excerpt=excerpt)
        facts = {
            "exit_code": result.exit_code,
            "stdout": stdout,
            "stderr": stderr,
            "elapsed_ms": elapsed,
        }
        return Observation(facts, elapsed_ms=elapsed, excerpt=excerpt)


def _trimmed(text: str) -> str:
    trimmed = text.rstrip("\n")
    return Partial(trimmed) if isinstance(text, Partial) else trimmed
