"""Secrets of a run: which there are, and that no log shows what looks like one."""

from __future__ import annotations

from collections.abc import Callable

from backout.checks import evidence
from backout.language import templates
from backout.model import Identity
from backout.ports import Restarter, Slotted, Vault
from backout.runs.plan import Plan


class Discreet:
    """A restart backend whose log is shown without what looks like a credential; it notes whom it
    saw."""

    def __init__(
        self, restarter: Restarter, vault: Vault, note: Callable[[Identity], None]
    ) -> None:
        self.restart = restarter.restart
        self.stop, self.find = restarter.stop, restarter.find
        self.streams = restarter.streams
        self._logs, self._redact = restarter.logs, vault.redact
        self._look, self._note = restarter.identity, note

    def identity(self) -> Identity:
        seen = self._look()
        self._note(seen)
        return seen

    def logs(self, lines: int) -> str:
        return evidence.cleared(self._logs(lines), self._redact)


def discreet_slots(restarter: Restarter, vault: Vault) -> Slotted | None:
    """The two slots of a service that has them, as discreet."""
    if not isinstance(restarter, Slotted):
        return None
    return restarter.within(lambda each: Discreet(each, vault, lambda _: None))


def secrets_of(plan: Plan) -> tuple[str, ...]:
    """The secrets that the plan's texts refer to, by name: all are fetched before the first
    change, and of those that cannot be had it is always the same one that is told."""
    texts = (plan.runbook.model_dump(), plan.target.model_dump(exclude={"secrets"}))
    return tuple(sorted({name for text in texts for name in templates.uses(text, "secrets")}))
