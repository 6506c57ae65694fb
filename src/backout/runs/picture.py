"""What a plan comes to and what it rests on, as data; its digest is the plan's name.

Two plans that would do the same to the same world have one digest, whenever and by whomever they
were made: the run, the release's number and the time are no part of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backout.errors import Mistakes, Refused
from backout.model import Command, Release
from backout.model.files import content_of
from backout.model.operands import at_home
from backout.ports import StepContext
from backout.runs import release_file, standing
from backout.runs.beforehand import way_back
from backout.runs.parts import Parts, side_by_side
from backout.runs.plan import Action, Plan
from backout.runs.wording import words_of
from backout.runs.worker import Worker

Leaf = str | int | float | bool | None
Part = Mapping[str, Leaf]
Named = Callable[[StepContext], Iterable[str]]

PARTS = ("commits", "files", "hosts", "running", "inventory", "runbook", "params", "steps")
"""In the order in which they are told."""
NO_PART = dict.fromkeys(("file", "hosts", "freeze", "notify", "maintenance", "zone"), True)
"""What an inventory says that changes nothing of a plan; its hosts are a part by themselves."""
SHORT = 12
"""Characters of a digest that people are shown."""
MOST = 12
"""So many movements are told."""
LATER = "known only in the run"
SCRIPTS = frozenset((".sh", ".bash", ".py", ".rb", ".pl", ".php", ".sql"))
"""How the names of texts end that a program of another name runs."""
_WORD = re.compile(r"""'([^'\n]*)'|"([^"\n]*)"|([^\s;|&<>()'"`]+)""")
_STAND_IN = "RUN"
"""In place of the run's name, which is another one each time."""
_STATUS = """\
inside=$(git -C "$BACKOUT_WHERE" rev-parse --show-prefix 2>/dev/null) || exit 0
printf '%s\\0' "$inside"
git -C "$BACKOUT_WHERE" status --porcelain -z --no-renames --untracked-files=no"""
"""Where in a working copy a directory is, and what is not committed there; nothing of any other."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Each part's facts by name: values of JSON."""

    parts: Mapping[str, Part]

    @property
    def digest(self) -> str:
        """SHA-256 of all parts, whatever the order of their facts."""
        return digest_of({part: self.parts.get(part, {}) for part in PARTS})

    def moved(self, now: Picture) -> tuple[str, ...]:
        """What is not any more as this picture has it, in words; the first few."""
        words = [
            _words(part, name, _fact(self, part, name), _fact(now, part, name))
            for part in PARTS
            for name in sorted({*self.parts.get(part, {}), *now.parts.get(part, {})})
            if _differ(_fact(self, part, name), _fact(now, part, name))
        ]
        words = list(dict.fromkeys(words))
        more = [f"and {len(words) - MOST} more"] if len(words) > MOST else []
        return (*words[:MOST], *more)


_GONE = object()


def _fact(picture: Picture, part: str, name: str) -> Any:
    return picture.parts.get(part, {}).get(name, _GONE)


def _differ(then: Any, now: Any) -> bool:
    """As JSON they do: `1` is not `true`."""
    return (type(then), then) != (type(now), now)


def _words(part: str, name: str, then: Any, now: Any) -> str:
    what = {"commits": name, "running": name, "steps": f"the way back of {name}"}.get(
        part, f"{part.rstrip('s') if part in ('files', 'params') else part} {name}"
    )
    if part == "hosts":
        what = f"host {name}"
    if then is _GONE:
        return f"{what} is new"
    if now is _GONE:
        return f"{what} is not there any more"
    if part in ("files", "steps") or "\n" in f"{then}{now}" or len(f"{then}{now}") > 120:
        return f"{what} has changed"
    return f"{what}: {_said(then)} was planned, it is {_said(now)}"


def _said(value: Leaf) -> str:
    return json.dumps(value) if isinstance(value, str) and not value.strip() else str(value)


def digest_of(data: Any) -> str:
    """SHA-256 of JSON data, whatever the order of its keys."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def flat(data: Any, at: str = "") -> Iterator[tuple[str, Leaf]]:
    """Every value within JSON-like data, named by the way to it; what is empty is a value too."""
    if isinstance(data, Mapping) and data:
        for key, inner in data.items():
            yield from flat(inner, f"{at}.{key}" if at else str(key))
    elif isinstance(data, list | tuple) and data:
        for index, inner in enumerate(data):
            yield from flat(inner, f"{at}[{index}]")
    elif isinstance(data, str | int | float | bool) or data is None:
        yield at, data
    else:
        yield at, "{}" if isinstance(data, Mapping) else "[]"


# --- taken ---------------------------------------------------------------------------------


def files(plan: Plan, parts: Parts) -> Part:
    """The content of every file of this machine that a plan brings along, beside what is in its
    commit. No host is asked."""
    return dict(_files(Worker(replace(plan, run=_STAND_IN), parts)))


def taken(plan: Plan, parts: Parts) -> Picture:
    """The picture of a plan in the world as it is: hosts are asked, nothing is changed. Raises
    Refused where an undo cannot be known, and Unreachable."""
    same = replace(
        plan, run=_STAND_IN, verb="", release=Release(0, plan.release.commit), user="", started=""
    )
    worker = Worker(same, parts)
    target, runbook = plan.target, plan.runbook
    return Picture({
        "commits": {"the commit that ships": plan.release.commit},
        "files": dict(_files(worker, _programs)),
        "hosts": dict(flat({h: target.hosts[h].model_dump(mode="json") for h in plan.hosts})),
        "running": _running(plan, parts),
        "inventory": dict(flat(target.model_dump(mode="json", exclude=NO_PART))),
        "runbook": dict(flat(runbook.model_dump(mode="json", exclude={"file"}))),
        "params": dict(flat({**plan.params, "--accept-red": sorted(plan.accept_red)})),
        "steps": _ways_back(worker),
    })  # fmt: skip


def _running(plan: Plan, parts: Parts) -> Part:
    """What each host says of itself, and the release that the ledger has."""

    def ask(name: str) -> Iterable[tuple[str, Leaf]]:
        transport, host = parts.reach(name), plan.target.hosts[name]
        record = release_file.read(transport, plan.target.home_on(host))
        yield f"the release on {name}", str(record.release) if record and record.release else "none"
        yield f"the last run on {name}", record.before(plan.run) if record else ""
        yield f"the code on {name}", standing.commit_on(transport, plan.target)

    told = side_by_side(lambda name: tuple(ask(name)), plan.hosts)
    known = str(plan.previous) if plan.previous else "none"
    return {"the release in force": known, **dict(row for rows in told for row in rows)}


def _ways_back(worker: Worker) -> Part:
    """The undo of each action, as it would be resolved now."""

    def undo(action: Action) -> tuple[str, Leaf]:
        name = f"{action.step.name} on {action.host}" if action.host else action.step.name
        return f"{name} ({action.key})", _undo(worker, action)

    return dict(side_by_side(undo, tuple(worker.plan.actions)))


def _undo(worker: Worker, action: Action) -> str:
    if action.step.irreversible:
        return f"none: {action.step.irreversible}"
    kind = worker.kind(action)
    try:
        work = worker.work(action)
        if not kind.undoes:
            return work.step.undo or ""
        undo = way_back(worker, action, work)
    except Mistakes:
        return LATER  # only an earlier step saves what it names, or makes its place
    # A kind's own text may hold a word that is never used twice; it is made of these two.
    known = json.dumps(dict(undo.data), sort_keys=True, default=str)
    return f"{undo.summary} {known}" if undo.summary else undo.text


def _files(worker: Worker, named: Named = lambda _: ()) -> Iterator[tuple[str, Leaf]]:
    """The content of every file of this machine that the plan brings along: what its steps read, or
    have `named`, and what differs in the working copy from its commit."""
    paths, plan = dict.fromkeys(_uncommitted(worker)), worker.plan
    for action in (*plan.preflight, *plan.actions, *plan.settling, *plan.finals):
        try:
            work = worker.work(action, strict=False)
            paths |= dict.fromkeys((*worker.kind(action).reads(work), *named(work)))
        except Mistakes:
            continue
    for path in sorted(paths):
        yield from map(_content, _within(Path(path)))


def _programs(work: StepContext) -> Iterator[str]:
    """The project's own scripts and programs that a shell text names which runs here."""
    texts = (getattr(work.options, "script", ""), work.step.undo or "", work.step.check or "")
    for word in _WORD.findall("\n".join(texts)) if work.host is None else ():
        path = Path(work.step.cwd, *word)
        with suppress(OSError, ValueError):
            if path.resolve().is_relative_to(Path.cwd()) and path.is_file() and _is_program(path):
                yield str(path)


def _is_program(path: Path) -> bool:
    return path.suffix in SCRIPTS or os.access(path, os.X_OK)


def _uncommitted(worker: Worker) -> list[str]:
    """What git calls by its way from the top of the whole working copy, of which the source may be
    one directory. Raises Refused where that cannot be told."""
    source = worker.plan.target.source
    if source is None:
        return []
    where = at_home(source.repository)
    command = Command(_STATUS, env=(("BACKOUT_WHERE", str(where)),), timeout=60.0)
    done = worker.parts.reach("").run(command)
    if not done.ok:
        why = words_of(done)
        raise Refused(f"what is not committed in {where} cannot be told: {why}")
    inside, *lines = done.stdout.split("\0")
    return [str(where / os.path.relpath(line[3:], inside or ".")) for line in lines if line]


def _within(path: Path) -> list[Path]:
    """The file itself, or all that lie in the directory."""
    if path.is_symlink() or not path.is_dir():
        return [path]
    inner = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    return sorted(each for each in inner if ".git" not in each.parts)


def _content(path: Path) -> tuple[str, Leaf]:
    """Of a link what it leads to, too: some read through it, git does not."""
    link = f"link to {path.readlink()}: " if path.is_symlink() else ""
    try:
        return str(path), link + hashlib.sha256(content_of(path)).hexdigest()
    except OSError as error:
        return str(path), f"{link}({error.strerror})"
