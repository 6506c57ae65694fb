"""`logs`: what the services wrote, through their restart backends."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial

from backout.checks import evidence
from backout.commands.chosen import chosen, hide_secrets
from backout.commands.options import Logs
from backout.errors import BackoutError, Mistakes, Refused
from backout.model import Host, Target
from backout.ports import Screen
from backout.project.machines import Machines
from backout.project.project import Workplace
from backout.reports import objects
from backout.reports.answer import Answer
from backout.reports.around_text import labelled
from backout.runs.parts import side_by_side

EVERY = 1.0
"""Seconds between two looks for new lines."""
WINDOW = 500
"""Lines that are looked at each time: what a service writes beyond that between two looks is not
shown."""
MOST = 100_000


class Reading:
    """One look at the services' logs, or one after the other."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def logs(self, options: Logs) -> Answer:
        _refuse(options)
        target = self.workplace.target(options.target)
        hosts = tuple(h for h in chosen(target, options.hosts) if target.service_on(h))
        if not hosts:
            raise Refused(f"{target.name} has no service on these hosts", where=target.file)
        hide_secrets(self.workplace, target, self.screen)
        machines = self.workplace.machines(target)
        if options.follow:
            return self._follow(machines, hosts, options.lines)
        told = tuple(side_by_side(partial(self._tail, machines, options.lines), hosts))
        unread = [each.host for each in told if each.reason]
        following = f"invoke doctor --target {target.name}" if unread else ""
        data = objects.Logs(target.name, told, following)
        return Answer("logs", data, 3 if unread else 0)

    def _tail(self, machines: Machines, lines: int, host: Host) -> objects.HostLog:
        try:
            text = machines.restarter(host.name).logs(lines)
        except BackoutError as error:
            return objects.HostLog(host.name, reason=error.what)
        return objects.HostLog(host.name, self._shown(text, machines.target)[-lines:])

    def _shown(self, text: str, target: Target) -> tuple[str, ...]:
        redact = self.workplace.vault(target).redact
        return tuple(evidence.cleared(text, redact).splitlines())

    # --- following -----------------------------------------------------------------------

    def _follow(self, machines: Machines, hosts: Sequence[Host], lines: int) -> Answer:
        """Until Ctrl-C, which is how it is meant to end."""
        seen: list[Mapping[str, Sequence[str]]] = [{} for _ in hosts]
        first = True
        try:
            while True:
                now = side_by_side(partial(self._streams, machines), hosts)
                for host, before, after in zip(hosts, seen, now, strict=True):
                    for stream, written in after.items():
                        news = added(before.get(stream, ()), written)
                        self._print(host, news[-lines:] if first else news, len(hosts) > 1)
                seen = [after or before for before, after in zip(seen, now, strict=True)]
                first = False
                time.sleep(EVERY)
        except KeyboardInterrupt:
            return Answer("nothing", objects.Nothing())

    def _streams(self, machines: Machines, host: Host) -> Mapping[str, Sequence[str]]:
        try:
            found = machines.restarter(host.name).streams(WINDOW)
        except BackoutError as error:
            if error.exit_code != Refused.exit_code:
                raise
            return {}
        return {name: self._shown(text, machines.target) for name, text in found.items()}

    def _print(self, host: Host, lines: Sequence[str], several: bool) -> None:
        if lines:
            self.screen.print("\n".join(labelled(host.name, lines) if several else lines))


def added(before: Sequence[str], after: Sequence[str]) -> Sequence[str]:
    """What the window `after` has that came since the window `before`: the two overlap as far as
    they can."""
    for shift in range(len(before) + 1):
        kept = before[shift:]
        if tuple(after[: len(kept)]) == tuple(kept):
            return after[len(kept) :]
    return after


def _refuse(options: Logs) -> None:
    if options.follow and options.json:
        raise Mistakes(
            "--follow has no end, and --json prints one object: leave one of them out",
            where="command line",
            next="invoke logs --json --lines 500",
        )
    if not 1 <= options.lines <= MOST:
        raise Mistakes(
            f"--lines {options.lines}: a number from 1 to {MOST}",
            where="command line",
            next="invoke --help logs",
        )
