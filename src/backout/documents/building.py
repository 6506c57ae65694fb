"""What was read of a note -> a runbook and inventory lines, as data, and where each line went.

What cannot be known is asked, never invented. As long as something is open, the preflight of the
runbook refuses: a command whose way back nobody has named is in it, and never runs by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from backout.config.judge import NOBODYS
from backout.documents import classify, phases
from backout.documents.bindings import Bindings, Data
from backout.documents.naming import (
    LOOKS,
    akin,
    check_name,
    escaped,
    inverse,
    name,
    service_name,
    shown,
)
from backout.documents.nouns import Found, Question, Reading, is_probe
from backout.documents.pieces import follows, http_check, into_commit, refusal
from backout.documents.placeholders import found

UNDECIDED = "undecided"
"""How the reason of a step begins whose way back nobody has named yet."""
_SERVICES = frozenset(("docker-compose", "docker", "pm2", "systemd", "supervisor", "heroku"))


@dataclass(frozen=True, slots=True)
class Built:
    """A runbook, inventory lines, and the reading with each line's new place."""

    reading: Reading
    runbook: Data
    inventory: Data


def build(reading: Reading) -> Built:
    """Steps, checks and ways back, in the order of the note."""
    maker = _Maker(reading, Bindings(reading))
    for at, each in enumerate(reading.found):
        maker.take(at, each)
    return maker.built()


@dataclass(slots=True)
class _Maker:
    reading: Reading
    blanks: Bindings
    steps: list[Data] = field(default_factory=list)
    preflight: list[Data] = field(default_factory=list)
    settle: list[Data] = field(default_factory=list)
    after: list[Data] = field(default_factory=list)
    diagnose: list[str] = field(default_factory=list)
    checks: Data = field(default_factory=dict)
    service: Data = field(default_factory=dict)
    source: Data = field(default_factory=dict)
    hosts: Data = field(default_factory=dict)
    back: list[str] = field(default_factory=list)
    back_on: str = ""
    into: dict[int, str] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)

    # --- one command ---------------------------------------------------------------------

    def take(self, at: int, each: Found) -> None:
        if each.host and "interactive" in each.flags and each.commands[-1].head == "ssh":
            self._host(each)
        elif "cwd" in each.flags:
            self._directory(each)
        elif not self._is_chosen(each):
            return
        elif place := self._place(each):
            self.into[at] = place

    def _is_chosen(self, each: Found) -> bool:
        """Of alternatives the first is taken, and the choice is asked for."""
        if not each.alternative or each.phase in ("verify", "diagnose"):
            return True  # looks do not stand in each other's way
        group, _, branch = each.alternative.partition(":")
        if group not in self.chosen:
            others = [
                o.alternative.partition(":")[2]
                for o in self.reading.found
                if o.alternative and o.alternative.startswith(f"{group}:")
            ]
            listed = ", ".join(dict.fromkeys(others))
            self.chosen[group] = branch
            self.blanks.ask(each, f"which of these is meant: {listed}? {branch} is written down")
        return self.chosen[group] == branch

    def _place(self, each: Found) -> str | None:
        if each.phase == "rollback":
            return self._way_back(each)
        if "follows" in each.flags or each.phase == "diagnose":
            return self._to_look_at(each)
        if {"interactive", "blocking"} & {*each.flags}:
            return self._by_hand(each)
        if each.phase == "notify":
            return self._told_at_end(each)
        if each.phase == "commit" and (place := self._commit(each)):
            return place
        if (
            each.phase == "push"
            and re.match(r"^git\b", each.text)
            and "destructive" not in each.flags
        ):
            return self._push(each)
        if (
            each.phase == "restart"
            and each.backend in _SERVICES
            and "destructive" not in each.flags
        ):
            return self._restart(each)
        if each.phase == "verify" and "destructive" not in each.flags and not _makes(each):
            return self._check(each)
        if each.phase == "update" and self._brings_code(each):
            return self._update(each)
        return self._run(each)

    # --- steps ---------------------------------------------------------------------------

    def _step(self, each: Found, body: Data, phase: str = "steps", *, title: str = "") -> str:
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
        taken = {step["name"] for step in (*self.steps, *self.settle, *self.preflight, *self.after)}
        count, wanted = 2, name
        while name in taken:
            name, count = f"{wanted} ({count})", count + 1
        return name

    def _run(self, each: Found) -> str:
        script, env = self.blanks.filled(each)
        body: Data = {"run": script, **({"env": env} if env else {}), **self._where(each)}
        plain = re.sub(r"^sudo ", "", each.text)
        if LOOKS.match(plain) and not re.search(r"[;&|>]", each.text):
            return self._step(
                each, {**body, "readonly": True}, "steps" if self.steps else "preflight"
            )
        if "destructive" in each.flags:
            self._step(
                each,
                {"approve": f"This destroys what it names; run it? {escaped(each.text)}"},
                title=f"Approve: {name(each)}",
            )
            return self._step(each, {**body, "irreversible": "it destroys what it names"})
        if undo := inverse(each.text):
            return self._step(each, {**body, "undo": self.blanks.bound(undo, each)})
        self.blanks.ask(each, f"how is this taken back? {shown(each.text)}")
        return self._step(
            each,
            {
                **body,
                "irreversible": f"{UNDECIDED}: {self.reading.source}:{each.line} names no way back",
            },
        )

    def _by_hand(self, each: Found) -> str:
        how = "never ends by itself" if "blocking" in each.flags else "asks for input"
        text = f"{escaped(each.text)} (it {how})"
        return self._step(
            each,
            {"manual": text, "undo": f"take back by hand what was done in: {escaped(each.text)}"},
        )

    def _told_at_end(self, each: Found) -> str:
        script, env = self.blanks.filled(each)
        return self._step(
            each, {"run": script, **({"env": env} if env else {}), "retry_safe": True}, "finally"
        )

    def _commit(self, each: Found) -> str | None:
        if any("commit" in step for step in self.steps[-1:]):
            step = self.steps[-1]
        elif re.match(r"^git(?: -C \S+)? (?:add|stage|rm|commit)\b", each.text):
            self._step(each, {"commit": {}}, title="Commit")
            step = self.steps[-1]
        else:
            return None
        into_commit(step["commit"], each, self.blanks)
        step["follows"] = follows(
            self.reading, int(step["follows"]["lines"].partition("-")[0]), each.last
        )
        return f"steps[{len(self.steps) - 1}]"

    def _push(self, each: Found) -> str:
        words = [w for w in each.commands[-1].words[2:] if not w.startswith("-")]
        names = [w.rpartition(":")[2] for w in words if re.fullmatch(r"[\w./:-]+", w)]
        if names:
            self.source["remote"] = names[0]
        if len(names) > 1 and names[1] not in ("HEAD", "tag"):
            self.source["branch"] = names[1]
        for at, step in enumerate(self.steps):
            if "push" in step:
                return f"steps[{at}]"
        return self._step(each, {"push": {}}, title="Push")

    def _brings_code(self, each: Found) -> bool:
        git = re.search(
            r"(?:^|&& )git(?: -C \S+)? (?:pull|fetch|checkout|switch|reset --hard|merge --ff)\b",
            re.sub(r"^ssh \S+ ['\"]?", "", each.text),
        )
        there = bool(
            each.host or each.cwd.startswith("/") or any("push" in step for step in self.steps)
        )
        only = all(c.head in ("git", "cd") for c in each.commands)
        return bool(git) and there and only

    def _update(self, each: Found) -> str:
        if directory := next(
            (c.words[1] for c in each.commands if c.head == "cd" and len(c.words) > 1), each.cwd
        ):
            self._directory(replace(each, cwd=directory))
        for at, step in enumerate(self.steps):
            if "update" in step:
                return f"steps[{at}]"
        return self._step(each, {"update": {}, "on": "all"}, title="Update the code")

    def _restart(self, each: Found) -> str:
        named = next(filter(None, map(service_name, self._restarts(each))), "app")
        self.service = self.service or {"name": named, "backend": each.backend}
        if each.backend == self.service["backend"]:
            name = service_name(each)
            if name and self.service["name"] == "app":
                self.service["name"] = name
            for at, step in enumerate(self.settle):
                if "restart" in step:
                    return f"settle[{at}]"
            return self._step(each, {"restart": {}, "on": "all"}, "settle", title="Restart")
        return self._run(each)

    def _restarts(self, each: Found) -> Sequence[Found]:
        """This restart, and the others that may name the same service."""
        return (
            each,
            *(o for o in self.reading.found if o.phase == "restart" and o.backend in _SERVICES),
        )

    # --- checks --------------------------------------------------------------------------

    def _check(self, each: Found) -> str | None:
        name = check_name(each, self.checks)
        if is_probe(each):
            request = next(r for r in each.requests if not r.file)
            self.checks[name] = http_check(self.blanks, each, request)
        else:
            script, env = self.blanks.filled(each, check=True)
            body = {"run": script, **({"env": env} if env else {})}
            self.checks[name] = {
                "command": body,
                "expect": ["exit_code == 0"],
                **({"on": "all"} if each.host else {}),
            }
        self.checks[name]["follows"] = {
            "document": self.reading.source,
            **follows(self.reading, each.line, each.last),
        }
        return f"checks.{name}"

    # --- the way back --------------------------------------------------------------------

    def _way_back(self, each: Found) -> str | None:
        if re.search(r"(?:^|&& |sudo )git(?: -C \S+)? revert\b", each.text):
            return self._reverts(each)
        if {"follows", "blocking"} & {*each.flags}:
            return self._to_look_at(each)
        if (
            each.backend in _SERVICES
            and phases.of_command(each.commands, each.text) == "restart"
            and self.settle
        ):
            return "settle[0]"
        if each.requests and is_probe(each):
            return (
                None
                if any(
                    "http" in c
                    and c["http"]["url"].endswith(each.requests[0].url.rpartition("//")[2])
                    for c in self.checks.values()
                )
                else self._check(each)
            )
        git = re.search(r"\bgit(?: -C \S+)? (?:checkout|reset|pull|push|fetch|switch)\b", each.text)
        for at, step in enumerate(self.steps):
            if git and ("update" in step or "push" in step):
                return f"steps[{at}]"
            if UNDECIDED in str(step.get("irreversible")) and akin(str(step["run"]), each.text):
                return self._takes_back(at, step, each)
        if {"interactive", "destructive"} & {*each.flags}:
            self.blanks.ask(each, f"the way back needs a person: {shown(each.text)}")
            return self._step(
                each,
                {
                    "manual": f"look at the way back, which a person does: {escaped(each.text)}",
                    "undo": escaped(each.text),
                },
            )
        self.back.append(self.blanks.bound(each.text, each, undo=True))
        self.back_on = self.back_on or ("all" if each.host else "")
        return "steps[back]"

    def _reverts(self, each: Found) -> str | None:
        if not re.search(
            r"revert\b.*\S*(?:[0-9a-f]{7}|HEAD|<|\$|commit|COMMIT|hash|sha|\{)", each.text
        ):
            self.blanks.ask(
                each, f"{shown(each.text)}: of which commit? The run itself reverts what it pushed"
            )
        at = next(
            (i for i, step in enumerate(self.steps) if "push" in step or "commit" in step), None
        )
        if at is not None:
            return f"steps[{at}]"
        self.blanks.ask(
            each, "nothing in the note commits or pushes what is reverted here"
        ) if not self.steps else None
        return None

    def _takes_back(self, at: int, step: Data, each: Found) -> str:
        step["undo"] = self.blanks.bound(each.text, each, undo=True)
        del step["irreversible"]
        line = int(step["follows"]["lines"].partition("-")[0])
        self.blanks.questions = [
            q for q in self.blanks.questions if q.line != line or "taken back" not in q.ask
        ]
        return f"steps[{at}]"

    def _to_look_at(self, each: Found) -> str:
        self.diagnose.append(classify.safe_form(each.text) or each.text)
        return "diagnose[0]"

    # --- where ---------------------------------------------------------------------------

    def _where(self, each: Found) -> Data:
        directory = (
            each.cwd
            if re.fullmatch(r"[\w./~-]+", each.cwd)
            and not each.cwd.startswith("~")
            and each.cwd not in ("..", "-")
            else ""
        )
        there = bool(each.host)
        return {
            **({"cwd": directory} if directory and not there else {}),
            **({"on": "all"} if there else {}),
        }

    def _host(self, each: Found) -> None:
        address = each.host.rpartition("@")[2]
        named = re.fullmatch(r"[A-Za-z0-9][\w.-]*", address) and not NOBODYS.search(address)
        if named and not list(found(address, 1)):
            user = each.host.rpartition("@")[0]
            name = address if re.fullmatch(r"[A-Za-z0-9][\w.-]*", address) else "host"
            self.hosts[name] = {
                "address": address,
                **({"user": user} if re.fullmatch(r"[a-z_][\w-]*", user) else {}),
            }
        else:
            self.blanks.ask(each, f"which machine is {shown(each.host or each.text)}?")

    def _directory(self, each: Found) -> None:
        if (
            each.cwd.startswith("/")
            and re.fullmatch(r"[\w./-]+", each.cwd)
            and not list(found(each.cwd, 1))
        ):
            self.source.setdefault("directory", each.cwd)
        elif each.cwd.startswith("/"):
            self.blanks.ask(each, f"which directory is {shown(each.cwd)}?")

    # --- the whole -----------------------------------------------------------------------

    def built(self) -> Built:
        self._backwards()
        if not self.hosts and any("on" in step for step in (*self.steps, *self.settle)):
            self.blanks.questions.append(
                Question(1, "on which machines does it run? (hosts of the inventory)")
            )
        if self.checks:
            self.settle.append({"name": "Prove it", "verify": "all"})
        elif self.steps:
            self.blanks.questions.append(Question(1, "how is it proved? The note has no check"))
        questions = tuple(dict.fromkeys(sorted(self.blanks.questions, key=lambda q: q.line)))
        shift = 0
        if questions:
            self.preflight.insert(0, refusal(self.reading.source, questions))
            shift = 1
        offset = 1 if self.back else 0
        reading = replace(self.reading, questions=questions, found=tuple(
            replace(each, into=_moved(self.into.get(at), shift, offset))
            for at, each in enumerate(self.reading.found)
        ))  # fmt: skip
        return Built(reading, self._runbook(), self._inventory())

    def _backwards(self) -> None:
        if self.back:
            lines = [each for each in self.reading.found if each.phase == "rollback"]
            step: Data = {
                "name": "Keep the note's way back",
                "run": ":",
                "undo": "\n".join(self.back),
            }
            step["follows"] = follows(self.reading, lines[0].line, lines[-1].last)
            self.steps.insert(0, {**step, **({"on": self.back_on} if self.back_on else {})})
        elif self.reading.way_back and not any(
            each.phase == "rollback" for each in self.reading.found
        ):
            said = " ".join(each.text for each in self.reading.way_back[:12])
            first = self.reading.way_back[0].line
            self.blanks.questions.append(
                Question(first, "the way back is told in words: which commands are it?")
            )
            self.steps.append({
                "name": "Know the way back",
                "manual": escaped(f"read the way back: {said}"),
                "undo": escaped(said),
                "follows": follows(self.reading, first, first),
            })  # fmt: skip

    def _runbook(self) -> Data:
        parts: Data = {
            "summary": escaped(shown(self.reading.title or f"What {self.reading.source} says.")),
            "document": self.reading.source,
            "params": self.blanks.params,
            "preflight": self.preflight,
            "steps": self.steps,
            "settle": self.settle,
            "finally": self.after,
            "diagnose": [
                {
                    "when": "true",
                    "say": shown("Look at: " + " · ".join(dict.fromkeys(self.diagnose)), 1000),
                }
            ]
            if self.diagnose
            else [],
        }
        return {key: value for key, value in parts.items() if value}

    def _inventory(self) -> Data:
        parts: Data = {
            "hosts": self.hosts or {"here": {"connection": "local"}},
            "service": self.service,
            "source": self.source,
            "vars": self.blanks.variables,
            "secrets": self.blanks.secrets,
            "checks": self.checks,
        }
        return {key: value for key, value in parts.items() if value}


def _makes(each: Found) -> bool:
    """Whether a command under "Verify" makes something: a check may run at any time."""
    return phases.of_command(each.commands, each.text) == "build"


def _moved(into: str | None, shift: int, offset: int) -> str | None:
    if into == "steps[back]":
        return "steps[0]"
    if into and (match := re.fullmatch(r"(preflight|steps)\[(\d+)\]", into)):
        return f"{match[1]}[{int(match[2]) + (shift if match[1] == 'preflight' else offset)}]"
    return into
