"""A real `StepContext`: one step on this machine, under a real transport with its notes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backout.adapters.lease import mark
from backout.adapters.transports.local import LocalTransport
from backout.adapters.transports.noted_shell import ShellTransport
from backout.adapters.vault import Vault
from backout.errors import Refused
from backout.model import (
    Finding,
    Host,
    Release,
    Result,
    SecretSource,
    Source,
    Step,
    Target,
    Undo,
)
from backout.ports import Clock, Restarter, StepContext, Transport
from backout.steps import KINDS
from backout.steps.base import Kind

from .clock import ManualClock

RUN = "20240130-200000-cafe"


class Person:
    """Says what it was told to say, in order, and remembers the questions."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    asking = False

    present = False

    def ask(self, question: str) -> str | None:  # noqa: ARG002 - nobody is asked here
        return None

    def line(self, question: str, over: Callable[[], bool]) -> str | None:  # noqa: ARG002
        return None

    def confirm(self, question: str, *, typed: str = "") -> bool:
        self.asked.append(f"{question} [{typed}]" if typed else question)
        if not self.answers:
            raise Refused("nobody is at the terminal")
        return self.answers.pop(0)


@dataclass
class Bench:
    """Where steps are tried: each `step(...)` is a `Trial` with a key of its own."""

    directory: Path
    source: Source | None = None
    host: Host | None = None
    run: str = RUN
    release: Release = field(default_factory=lambda: Release(1))
    secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    person: Person = field(default_factory=Person)
    clock: Clock = field(default_factory=ManualClock)
    render: Callable[[str], str] = str
    said: list[str] = field(default_factory=list)
    transport: Transport | None = None
    """The machine's, when it is not this one."""
    state: str = ""
    """Backout's own directory on that machine."""
    number: int = 0

    def step(self, kind: str, options: Mapping[str, Any] | None = None, **common: Any) -> Trial:
        """A step of that kind; `common` are the keys that all kinds share."""
        made: Kind = KINDS[kind]()
        parsed = made.Options.model_validate(dict(options or {}))
        self.number += 1
        step = Step(name=f"{kind} {self.number}", kind=kind, options=parsed, **common)
        return Trial(made, self._work(step, f"{self.run}/steps/{self.number}"))

    def _work(self, step: Step, key: str) -> StepContext:
        home = self.directory / "home"
        vault = Vault(self.secrets, self.directory)
        here = LocalTransport(Host(name="here", connection="local"), str(home), vault)
        transport = self.transport or here
        if isinstance(transport, ShellTransport):
            mark(transport, self.run)
        hosts = {self.host.name: self.host} if self.host else {}
        return StepContext(
            step=step,
            options=step.options,
            key=key,
            target=Target(
                name="bench", hosts=hosts, source=self.source, state=self.state or str(home)
            ),
            run=self.run,
            release=self.release,
            previous=None,
            host=self.host,
            transport=transport,
            here=here,
            restarter=_no_service,
            vault=vault,
            clock=self.clock,
            operator=self.person,
            verify=_no_checks,
            say=self.said.append,
            render=self.render,
        )


@dataclass
class Trial:
    """One step, as the engine uses it: the undo is resolved first; no key is used twice."""

    kind: Kind
    work: StepContext
    way_back: Undo = field(default_factory=lambda: Undo(""))
    backs: int = 0

    def before(self) -> Undo:
        self.way_back = self.kind.before(self.work)
        return self.way_back

    def act(self) -> Result:
        self.before()
        return self.kind.act(self.work)

    def again(self) -> Result:
        """Act once more, as a second attempt, with the way back that is on record."""
        key = f"{self.work.key}#2"
        return self.kind.act(replace(self.work, key=key, resolved=self.way_back))

    def recall(self) -> Result | None:
        return self.kind.recall(self.work, self.way_back)

    def undo(self) -> Result:
        self.backs += 1
        key = f"{self.work.key}/undo#{self.backs}"
        return self.kind.undo(replace(self.work, key=key), self.way_back)


def _no_service() -> Restarter:
    raise Refused("the bench has no service")


def _no_checks(names: Sequence[str]) -> tuple[Finding, ...]:
    raise Refused(f"the bench has no checks: {names}")
