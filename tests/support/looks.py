"""What a probe is given to look with, in a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from backout.model import Check, Host, Identity, Observation, Options, Result, State, Target
from backout.ports import Probe, ProbeRequest, Restarter, Transport
from backout.restarters.backend import last

from .transports import Shell


class Secrets:
    """A vault with the secrets that the test gives it."""

    def __init__(self, **secrets: str) -> None:
        self._secrets = secrets

    warnings = ()

    def fetch(self, names: Iterable[str]) -> None:
        assert set(names) <= set(self._secrets)

    def reveal(self, text: str) -> str:
        for name, value in self._secrets.items():
            text = text.replace(f"\ue000{name}\ue001", value)
        return text

    def redact(self, text: str) -> str:
        for value in self._secrets.values():
            text = text.replace(value, "[redacted]")
        return text


class Backend:
    """A restart backend that says what the test wants to hear."""

    def __init__(self, identity: Identity | None = None, log: str = "") -> None:
        self.serving = identity or Identity(up=True, value="1@100", uptime=5.0, restarts=0)
        self.log = log

    def identity(self) -> Identity:
        return self.serving

    def restart(self, key: str) -> Result:  # noqa: ARG002
        return Result(State.DONE)

    def stop(self, key: str) -> Result:  # noqa: ARG002
        return Result(State.DONE)

    def logs(self, lines: int) -> str:
        return last(self.log, lines)

    def streams(self, lines: int) -> Mapping[str, str]:
        return {"": self.logs(lines)}

    def find(self) -> tuple[Mapping[str, str], ...]:
        return ()


def observe(
    probe: type[Probe],
    options: Mapping[str, Any] | str,
    *,
    host: Host | None = None,
    timeout: float = 30.0,
    vault: Secrets | None = None,
    transport: Transport | None = None,
    restarter: Restarter | None = None,
    memory: dict[str, Any] | None = None,
    known_good: Any = None,
) -> Observation:
    """Let a probe look once, with options as an inventory has them."""
    model: type[Options] = probe.Options
    data = {model.short: options} if isinstance(options, str) else options
    ready = model.model_validate(data)
    return probe().observe(
        ProbeRequest(
            check=Check(name="check", kind="kind", options=ready, timeout=timeout),
            options=ready,
            host=host,
            timeout=timeout,
            transport=transport or Shell(),
            restarter=lambda: restarter or Backend(),
            vault=vault or Secrets(),
            target=Target(name="prod"),
            memory=memory if memory is not None else {},
            known_good=known_good,
        )
    )
