"""A watcher under a clock that is moved by hand, and what its checks say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from backout.adapters.storage.health_store import HealthStore
from backout.model import Check, CheckKey, Delivery, Finding, Message, Target, Verdict
from backout.watch import rollups
from backout.watch.messages import REMIND_EVERY
from backout.watch.outbox import Sender
from backout.watch.surroundings import Surroundings
from backout.watch.watched import TargetState, WatchedTarget
from backout.watch.watcher import LONGEST_WAIT, Watcher

from .clock import ManualClock

Says = Callable[[float], Verdict]


class SettableClock(ManualClock):
    """A clock that can also be set, while no time passes."""

    def jump(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    @property
    def stamp(self) -> float:
        return self.now().timestamp()


def healthy(_: float) -> Verdict:
    return Verdict.PASS


def check(name: str, **common: Any) -> Check:
    """A check of no kind in particular: what it says is scripted."""
    return Check.model_validate({"name": name, "kind": "http", "options": None, **common})


def target(*checks: Check, name: str = "prod", **more: Any) -> Target:
    return Target.model_validate(
        {"name": name, "checks": {each.name: each for each in checks}, **more}
    )


@dataclass
class Places:
    """`outbox.Destinations`, as a test says."""

    now: tuple[str, ...] = ("people",)
    space: int = 32_000

    def known(self) -> tuple[str, ...]:
        return self.now

    def of(self, _: str) -> tuple[str, ...]:
        return self.now

    def beside(self, destination: str, _: str) -> tuple[str, ...]:
        return tuple(each for each in self.now if each != destination)

    def name(self, destination: str) -> str:
        return destination

    def room(self, _: str) -> int:
        return self.space


@dataclass
class Simulation:
    """The real store, schedule, alerts and sender; looks answer at once, as they are told."""

    directory: Path
    targets: Sequence[Target]
    says: Mapping[str, Says] = field(default_factory=dict)
    """By check: what it says at a moment; a check that is not named is healthy."""
    clock: SettableClock = field(default_factory=SettableClock)
    news: dict[str, TargetState] = field(default_factory=dict)
    receive: Callable[[str, Message], str | Delivery] = lambda _destination, _letter: ""
    reasons: dict[str, str] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    elapsed_ms: float = 5.0
    places: Places = field(default_factory=Places)

    def __post_init__(self) -> None:
        self.mail: float | None = 0.0
        """When the sender has something to do."""
        self.said: list[str] = []
        self.looked: list[tuple[str, float]] = []
        self.arrived: list[Message] = []
        self.pings: list[tuple[str, str]] = []
        self.reverted: list[tuple[str, Sequence[CheckKey]]] = []
        self.store = HealthStore(self.directory / "health.db", str, rollups.fold)
        self.watcher = self._watcher()
        for each in self.targets:
            self.watch(each)
        self.sender = Sender(self.store, self._post, self.clock, self.places, said=self.said.append)

    def _watcher(self) -> Watcher:
        around = Surroundings(
            submit=lambda do: do(),
            news=lambda target: self.news.get(target.name, TargetState()),
            said=lambda text, _warning: self.said.append(text),
            ping=lambda watched, failed: self.pings.append((watched.name, failed)),
            reverts=self,
            wake=self._wake,
        )
        return Watcher(self.store, self.clock, around)

    def watch(self, watched: Target) -> None:
        self.watcher.watch(
            WatchedTarget(
                target=watched,
                roots=tuple(CheckKey(watched.name, name) for name in watched.checks),
                look=self._look,
                destinations=self.places.now,
            )
        )

    def _look(self, check_key: CheckKey, _: object) -> tuple[Finding, ...]:
        now = self.clock.stamp
        self.looked.append((check_key.check, now))
        verdict = self.says.get(check_key.check, healthy)(now)
        reason = "" if verdict is Verdict.PASS else self.reasons.get(check_key.check, str(verdict))
        return (
            Finding(
                check_key.check,
                None,
                verdict,
                self.elapsed_ms,
                reason=reason,
                facts=self.facts.get(check_key.check, {}),
            ),
        )

    def _post(self, destination: str, message: Message) -> Delivery:
        said = self.receive(destination, message)
        delivery = said if isinstance(said, Delivery) else Delivery(said)
        if not delivery.failure:
            self.arrived.append(message)
        return delivery

    def revert(self, _: WatchedTarget, deployed: Any, red: Sequence[CheckKey]) -> str:
        self.reverted.append((deployed.run, red))
        with self.store.write() as change:
            change.revert(deployed.run, deployed.run, self.clock.stamp, "")
            change.reverted(deployed.run, self.clock.stamp, "reverted")
        return "reverted"

    def finish(self, _: WatchedTarget, run: str, why: str) -> str:  # noqa: ARG002
        return ""

    # --- time ------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Let the watcher and the sender work for so long, without waiting."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            pause = self.watcher.turn()
            if self.mail is not None and self.mail <= self.clock.monotonic():
                wait = self.sender.turn()
                self.mail = None if wait is None else self.clock.monotonic() + wait
            if pause:
                self.clock.advance(max(0.001, min(self._idle(pause), end - self.clock.monotonic())))
        self.watcher.write()

    def _idle(self, pause: float) -> float:
        """Where nothing is due, nobody has to turn every second for the clock's sake."""
        following = self.watcher.timetable.next()
        until = [REMIND_EVERY, following - self.clock.stamp if following else REMIND_EVERY]
        until += [] if self.mail is None else [self.mail - self.clock.monotonic()]
        return max(pause, min(until)) if pause >= LONGEST_WAIT else pause

    def _wake(self) -> None:
        self.mail = self.clock.monotonic()

    def restart(self) -> None:
        """A new process on the same files."""
        self.store.close()
        arrived, looked = self.arrived, self.looked
        self.__post_init__()
        self.arrived, self.looked = arrived, looked

    @property
    def titles(self) -> list[str]:
        return [message.title for message in self.arrived]

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()
