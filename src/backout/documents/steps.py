"""One command of a note -> a step; of a restart its service, of a commit its paths are kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from backout.documents import variables
from backout.documents.bindings import Data
from backout.documents.draft import Draft
from backout.documents.naming import LOOKS, escaped, inverse, name, service_name, shown
from backout.documents.nouns import Found
from backout.documents.pieces import follows, into_commit

SERVICES = frozenset(("docker-compose", "docker", "pm2", "systemd", "supervisor", "heroku"))
"""The backends whose restart is a step of its own kind."""
_BRINGS = re.compile(r"^git (?:pull|fetch|checkout|switch|reset --hard|merge --ff)\b")
UNDECIDED = "undecided"
"""How the reason of a step begins whose way back nobody has named yet."""


def run(draft: Draft, each: Found) -> str:
    """The command as it stands, with the way back that is known of its kind, or the question."""
    body = {**script(draft, each), **_where(each)}
    if _only_looks(each.script):
        return _looked(draft, each, body)
    if "destructive" in each.flags:
        asked = f"This destroys what it names; run it? {escaped(each.text)}"
        draft.step(each, {"approve": asked}, title=f"Approve: {name(each)}")
        return draft.step(each, {**body, "irreversible": "it destroys what it names"})
    if undo := inverse(each.script):
        return draft.step(each, {**body, "undo": draft.blanks.bound(undo, each)})
    return _asked(draft, each, body)


def _looked(draft: Draft, each: Found, body: Data) -> str:
    return draft.step(each, {**body, "readonly": True}, "steps" if draft.steps else "preflight")


def _asked(draft: Draft, each: Found, body: Data) -> str:
    """A change of which the note does not say how it is taken back."""
    draft.blanks.ask(each, f"how is this taken back? {shown(each.text)}", "undo")
    why = f"{UNDECIDED}: {draft.reading.source}:{each.line} names no way back"
    return draft.step(each, {**body, "irreversible": why})


def saved(draft: Draft, each: Found) -> str:
    """What a command says, kept for the steps that use the variable: one step for each."""
    place = ""
    for variable, value in variables.assignments(each.script).items():
        if variable in each.sets:
            said = f'{variable}={value}\nprintf %s "${variable}"'
            one = replace(each, script=said)
            looks = all(map(_only_looks, variables.commands_in(value)))
            body = {**script(draft, one), **_where(each), "save": {variable: "stdout"}}
            place = _looked(draft, one, body) if looks else _asked(draft, one, body)
    return place


def script(draft: Draft, each: Found, *, check: bool = False) -> Data:
    """The command's text and environment, as a step or a check words them."""
    text, env = draft.blanks.filled(each, check=check)
    return {"run": text, **({"env": env} if env else {})}


def _only_looks(text: str) -> bool:
    return bool(LOOKS.match(re.sub(r"^sudo ", "", text)) and not re.search(r"[;&|>]", text))


def _where(each: Found) -> Data:
    if any(command.host for command in each.commands):
        return {}  # it goes there by itself, from this machine
    plain = re.fullmatch(r"[\w./~-]+", each.cwd) and not each.cwd.startswith("~")
    there = plain and (each.cwd.startswith("/") or not each.host)
    directory = {"cwd": each.cwd} if there and each.cwd not in ("..", "-") else {}
    return {**directory, **({"on": "all"} if each.host else {})}


def by_hand(draft: Draft, each: Found) -> str:
    """A command that asks for input, or never ends, as what a person does."""
    how = "never ends by itself" if "blocking" in each.flags else "asks for input"
    undo = f"take back by hand what was done in: {escaped(each.text)}"
    return draft.step(each, {"manual": f"{escaped(each.text)} (it {how})", "undo": undo})


def told_at_end(draft: Draft, each: Found) -> str:
    """A command that tells people something, whatever happened."""
    return draft.step(each, {**script(draft, each), "retry_safe": True}, "finally")


def commit(draft: Draft, each: Found) -> str | None:
    """`git add` and `git commit` in a row as one step; None for what is neither."""
    if not any("commit" in step for step in draft.steps[-1:]):
        if not re.match(r"^git(?: -C \S+)? (?:add|stage|rm|commit)\b", each.text):
            return None
        draft.step(each, {"commit": {}}, title="Commit")
    step = draft.steps[-1]
    into_commit(step["commit"], each, draft.blanks)
    first = int(step["follows"]["lines"].partition("-")[0])
    step["follows"] = follows(draft.reading, first, each.last)
    return f"steps[{len(draft.steps) - 1}]"


def push(draft: Draft, each: Found) -> str:
    """`git push`, once, and what it says of the remote and the branch."""
    words = [w for w in each.commands[-1].words[2:] if not w.startswith("-")]
    names = [w.rpartition(":")[2] for w in words if re.fullmatch(r"[\w./:-]+", w)]
    if names:
        draft.source["remote"] = names[0]
    if len(names) > 1 and names[1] not in ("HEAD", "tag"):
        draft.source["branch"] = names[1]
    at = draft.step_with("push")
    return draft.step(each, {"push": {}}, title="Push") if at is None else f"steps[{at}]"


def update(draft: Draft, each: Found) -> str:
    """What brings the code to the hosts, once, and the directory that it brings it to."""
    into = (c.words[1] for c in each.commands if c.head == "cd" and len(c.words) > 1)
    if directory := next(into, each.cwd):
        draft.directory(replace(each, cwd=directory))
    at = draft.step_with("update")
    if at is not None:
        return f"steps[{at}]"
    return draft.step(each, {"update": {}, "on": "all"}, title="Update the code")


def brings_code(draft: Draft, each: Found) -> bool:
    """Whether a command is git's, fetches, and runs where the code goes."""
    git = any(
        c.head == "git" and _BRINGS.search(re.sub(r"^git -C \S+", "git", c.text))
        for c in each.commands
    )
    there = each.host or each.cwd.startswith("/") or draft.step_with("push") is not None
    return bool(git and there) and all(
        c.head in ("git", "cd") and not c.sudo for c in each.commands
    )


def restart(draft: Draft, each: Found) -> str:
    """The restart of the target's service, once; that of another one as it stands."""
    named = next(filter(None, map(service_name, _restarts(draft, each))), "app")
    draft.service = draft.service or {"name": named, "backend": each.backend}
    if each.backend != draft.service["backend"]:
        return run(draft, each)
    name = service_name(each)
    if name and draft.service["name"] == "app":
        draft.service["name"] = name
    for at, step in enumerate(draft.settle):
        if "restart" in step:
            return f"settle[{at}]"
    return draft.step(each, {"restart": {}, "on": "all"}, "settle", title="Restart")


def _restarts(draft: Draft, each: Found) -> Iterator[Found]:
    """This restart, and the others that may name the same service."""
    yield each
    group = (each.alternative or "").partition(":")[0]
    for other in draft.reading.found:
        instead = group and (other.alternative or "").partition(":")[0] == group
        if other.phase == "restart" and (other.backend == each.backend or instead):
            yield other
