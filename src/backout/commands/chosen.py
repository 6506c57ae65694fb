"""What verbs that look around on machines share: which hosts, and that no secret is shown."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime

from backout.errors import BackoutError, Mistakes, Refused
from backout.model import Event, Host, Target
from backout.ports import Screen
from backout.project.project import Workplace


def chosen(target: Target, words: str | None) -> tuple[Host, ...]:
    """The hosts that `--hosts` names, or all. Raises Mistakes."""
    names = [name.strip() for name in (words or "all").split(",") if name.strip()]
    for name in names:
        if not target.select(name):
            known = ", ".join(target.hosts) or "none"
            raise Mistakes(
                f"--hosts {name}: {target.name} has no such host or group; its hosts: {known}",
                where="command line",
                next="invoke targets",
            )
    wanted = {host.name for name in names for host in target.select(name)}
    return tuple(host for host in target.hosts.values() if host.name in wanted)


def hide_secrets(workplace: Workplace, target: Target, screen: Screen) -> None:
    """Have the target's secrets in force, so that they are redacted in whatever is shown. One
    that cannot be had here is named."""
    vault = workplace.vault(target)
    for name in target.secrets:
        try:
            vault.fetch([name])
        except Refused as error:
            words = f"the secret {name} would not be recognized in what is shown: {error.what}"
            screen.listen(Event(datetime.now(UTC), "warning", words))


def know_secrets(workplace: Workplace, target: Target, used: Collection[str] = ()) -> None:
    """Have in force, before anything is shown or written, what can be had without asking anybody,
    and what will be `used` anyhow: a value may stand in what was typed. One that cannot be had is
    told where it is needed."""
    vault = workplace.vault(target)
    for name, source in target.secrets.items():
        if name in used or not source.command:
            with suppress(BackoutError):
                vault.fetch([name])
