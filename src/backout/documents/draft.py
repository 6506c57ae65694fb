"""A runbook and the lines of an inventory while they are written, command after command."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace

from backout.documents import classify
from backout.documents.bindings import Bindings, Data
from backout.documents.machines import Machines
from backout.documents.naming import escaped, name, shown
from backout.documents.nouns import Found, Question, Reading
from backout.documents.pieces import follows, refusal
from backout.documents.placeholders import found

BACK = "steps[back]"
"""Where a line of the note's way back goes, until it is known whether a step holds them."""


@dataclass(frozen=True, slots=True)
class Built:
    """A runbook, inventory lines, and the reading with each line's new place."""

    reading: Reading
    runbook: Data
    inventory: Data


@dataclass(slots=True)
class Draft:
    """What has been written down so far."""

    reading: Reading
    blanks: Bindings
    steps: list[Data] = field(default_factory=list)
    preflight: list[Data] = field(default_factory=list)
    settle: list[Data] = field(default_factory=list)
    after: list[Data] = field(default_factory=list)
    diagnose: list[str] = field(default_factory=list)
    checks: dict[str, Data] = field(default_factory=dict)
    service: Data = field(default_factory=dict)
    source: Data = field(default_factory=dict)
    machines: Machines = field(default_factory=Machines)
    alike: dict[str, list[str]] = field(default_factory=dict)
    """The places of the steps that do the same, by what they do; and how often each machine was
    told to do that."""
    times: Counter[tuple[str, str]] = field(default_factory=Counter)
    names: dict[str, int] = field(default_factory=dict)
    """The names that are taken, with the highest number that was given to each."""
    back: list[str] = field(default_factory=list)
    back_on: str = ""
    back_env: Data = field(default_factory=dict)

    def step(self, each: Found, body: Data, phase: str = "steps", *, title: str = "") -> str:
        """Append a step to a phase; its place in the runbook."""
        steps: list[Data] = {
            "steps": self.steps,
            "settle": self.settle,
            "preflight": self.preflight,
            "finally": self.after,
        }[phase]
        step = {"name": self._unique(title or name(each)), **body}
        step["follows"] = follows(self.reading, each.line, each.last)
        steps.append(step)
        return f"{phase}[{len(steps) - 1}]"

    def _unique(self, name: str) -> str:
        count, wanted = self.names.get(name, 0), name
        while name in self.names:
            count += 1
            name = f"{wanted} ({count})"
        self.names[name], self.names[wanted] = 1, max(count, 1)
        return name

    def step_with(self, *kinds: str) -> int | None:
        """The first step of one of these kinds."""
        return next((at for at, step in enumerate(self.steps) if {*kinds} & {*step}), None)

    def to_look_at(self, each: Found) -> str:
        """A command for whoever looks into a failure."""
        self.diagnose.append(classify.safe_form(each.text) or each.text)
        return "diagnose[0]"

    def hosts_of(self, each: Found) -> None:
        """Every machine that a command goes to, as the inventory's; asked for when it is none."""
        logins = {c.host: c.login for c in each.commands if c.host}
        for host, options in logins.items():
            if not self.machines.takes(host, options):
                self.blanks.ask(each, f"which machine is {shown(host)}?", "machines")

    def _each_on_its_own(self) -> None:
        """What was told for some of the machines is for those alone."""
        for place, there in self.machines.reached.items():
            step = self._at(place)
            if step.get("on") == "all":
                step["on"] = self.machines.on(there)

    def _at(self, place: str) -> Data:
        """The step or the check at a place, before anything has moved; none at any other."""
        if check := self.checks.get(place.removeprefix("checks.")):
            return check
        step = re.fullmatch(r"(steps|settle|preflight)\[(\d+)\]", place)
        return getattr(self, step[1])[int(step[2])] if step else {}

    def directory(self, each: Found) -> None:
        """The directory that a command runs in, as that of the source."""
        if not each.cwd.startswith("/"):
            return
        if re.fullmatch(r"[\w./-]+", each.cwd) and not list(found(each.cwd, 1)):
            self.source.setdefault("directory", each.cwd)
        else:
            self.blanks.ask(each, f"which directory is {shown(each.cwd)}?", "directory")

    def finished(self, into: dict[int, list[str]]) -> Built:
        """The whole; `into` has the places of each command that went into it."""
        self._each_on_its_own()
        self._keep_the_way_back()
        self._prove()
        questions = tuple(dict.fromkeys(sorted(self.blanks.questions, key=lambda q: q.line)))
        if questions:
            self.preflight.insert(0, refusal(self.reading.source, questions))
        asked = 1 if questions else 0
        reading = replace(self.reading, questions=questions, found=tuple(
            each.led([self._moved(place, asked) for place in into.get(at, ())])
            for at, each in enumerate(self.reading.found)
        ))  # fmt: skip
        return Built(reading, self._runbook(), self._inventory())

    def _keep_the_way_back(self) -> None:
        """The note's own way back as a step's undo; where it is told in words, as a person's."""
        lines = [each for each in self.reading.found if each.phase == "rollback"]
        if self.back:
            self.steps.insert(self._back_at, {
                "name": "Keep the note's way back",
                "run": ":",
                "undo": "\n".join(self.back),
                "follows": follows(self.reading, lines[0].line, lines[-1].last),
                **({"env": self.back_env} if self.back_env else {}),
                **({"on": self.back_on} if self.back_on else {}),
            })  # fmt: skip
        elif self.reading.way_back and not lines:
            said = " ".join(each.text for each in self.reading.way_back[:12])
            first = self.reading.way_back[0].line
            self._ask("the way back is told in words: which commands are it?", "back", first)
            self.steps.append({
                "name": "Know the way back",
                "manual": escaped(f"read the way back: {said}"),
                "undo": escaped(said),
                "follows": follows(self.reading, first, first),
            })  # fmt: skip

    @property
    def _back_at(self) -> int:
        """Where the note's way back is kept: first of all, behind what saves a value for it."""
        saving = (
            at for at, step in enumerate(self.steps) if {*step.get("save", ())} & {*self.back_env}
        )
        return max(saving, default=-1) + 1

    def _moved(self, into: str, asked: int) -> str:
        """A place, behind the steps that were put before it."""
        kept = self._back_at if self.back else len(self.steps)
        if into == BACK:
            return f"steps[{kept}]"
        match = re.fullmatch(r"(preflight|steps)\[(\d+)\]", into)
        if match is None:
            return into
        at = int(match[2])
        return f"{match[1]}[{at + (asked if match[1] == 'preflight' else at >= kept)}]"

    def _prove(self) -> None:
        if not self.machines.hosts and any("on" in step for step in (*self.steps, *self.settle)):
            self._ask("on which machines does it run? (hosts of the inventory)", "machines")
        elif self.machines.guessed and self.machines.guessed == {*self.machines.hosts}:
            named = ", ".join(sorted(self.machines.guessed))
            asked = f"the note names {named}: is that all of them? (hosts of the inventory)"
            self._ask(asked, "machines")
        if self.checks:
            self.settle.append({"name": "Prove it", "verify": "all"})
        elif self.steps or self.settle:
            self._ask("how is it proved? The note has no check", "proof")

    def _ask(self, ask: str, about: str, line: int = 1) -> None:
        self.blanks.questions.append(Question(line, ask, about))

    def _runbook(self) -> Data:
        looks = " · ".join(dict.fromkeys(self.diagnose))
        parts: Data = {
            "summary": escaped(shown(self.reading.title or f"What {self.reading.source} says.")),
            "document": self.reading.source,
            "params": self.blanks.params,
            "preflight": self.preflight,
            "steps": self.steps,
            "settle": self.settle,
            "finally": self.after,
            "diagnose": [{"when": "true", "say": shown(f"Look at: {looks}", 1000)}]
            if looks
            else [],
        }
        return {key: value for key, value in parts.items() if value}

    @property
    def _needs_source(self) -> bool:
        """A note need not say where one stands, nor where a plain `git push` goes."""
        return self.step_with("commit", "push", "update") is not None

    def _inventory(self) -> Data:
        parts: Data = {
            "hosts": self.machines.hosts or {"here": {"connection": "local"}},
            "ssh": self.machines.ssh,
            "service": self.service,
            "source": self.source or ({"repository": "."} if self._needs_source else {}),
            "vars": self.blanks.variables,
            "secrets": self.blanks.secrets,
            "checks": self.checks,
        }
        return {key: value for key, value in parts.items() if value}


def _address(host: str) -> str:
    return host.rpartition("@")[2]
