"""One command of a note -> a step; of a restart its service, of a commit its paths are kept."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace

from backout.documents import variables, whole
from backout.documents.bindings import Data
from backout.documents.draft import Draft
from backout.documents.looking import only_looks
from backout.documents.naming import escaped, inverse, name, service_name, shown
from backout.documents.nouns import Found
from backout.documents.pieces import follows, into_commit
from backout.documents.shell import bash_only

SERVICES = frozenset(("docker-compose", "docker", "pm2", "systemd", "supervisor", "heroku"))
"""The backends whose restart is a step of its own kind."""
_BRINGS = re.compile(r"^git (?:pull|fetch|checkout|switch|reset --hard|merge --ff)\b")
IN_THE_NEW = "the note does this in what it has restarted; a run does it before: is that well?"
UNDECIDED = "undecided"
"""How the reason of a step begins whose way back nobody has named yet."""


def run(draft: Draft, each: Found) -> str:
    """The command as it stands, with the way back that is known of its kind, or the question."""
    body = {**script(draft, each), **_where(each)}
    alike = draft.alike.setdefault(repr(body), [])
    before = draft.times[repr(body), each.host]
    draft.times[repr(body), each.host] += 1
    if before == len(alike):
        alike.append(_written(draft, each, body))
    return alike[before]  # what another machine was told as often is one step, on both


def _written(draft: Draft, each: Found, body: Data) -> str:
    if only_looks(each.script):
        return _looked(draft, each, body)
    if any("restart" in step for step in draft.settle) and any(c.inner for c in each.commands):
        draft.blanks.ask(each, f"{shown(each.text)}: {IN_THE_NEW}", "yes")
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
            looks = all(map(only_looks, variables.commands_in(value)))
            body = {**script(draft, one), **_where(each), "save": {variable: "stdout"}}
            place = _looked(draft, one, body) if looks else _asked(draft, one, body)
    return place


def script(draft: Draft, each: Found, *, check: bool = False) -> Data:
    """The command's text and environment, as a step or a check words them."""
    whole_text = f"{each.told}\n{each.script}" if each.told else each.script
    text, env = draft.blanks.filled(replace(each, script=whole_text), check=check)
    if bash_only(text) and "{{" not in text:
        text = f"exec bash -ec {shlex.quote(text)}"
    return {"run": text, **({"env": env} if env else {})}


def _where(each: Found) -> Data:
    if whole.goes_there(each):
        return {}
    plain = re.fullmatch(r"[\w./~-]+", each.cwd) and not each.cwd.startswith("~")
    there = plain and (each.cwd.startswith("/") or not each.host)
    directory = {"cwd": each.cwd} if there and each.cwd not in ("..", "-") else {}
    return {**directory, **({"on": "all"} if each.host else {})}


def by_hand(draft: Draft, each: Found) -> str:
    """A command that asks for input, or never ends, as what a person does."""
    endless = {"blocking", "follows"} & {*each.flags}
    how = "never ends by itself" if endless else "asks for input"
    undo = f"take back by hand what was done in: {escaped(each.text)}"
    return draft.step(each, {"manual": f"{escaped(each.text)} (it {how})", "undo": undo})


def told_at_end(draft: Draft, each: Found) -> str:
    """A command that tells people something, whatever happened."""
    return draft.step(each, {**script(draft, each), "retry_safe": True}, "finally")


def commit(draft: Draft, each: Found) -> str | None:
    """`git add` and `git commit` in a row as one step, and the push behind them as another; None
    for what is neither, or more."""
    sent = whole.only(each, whole.pushes)
    if sent or not whole.only(each, lambda c: whole.commits(c) or whole.pushes(c)):
        return None
    if not any("commit" in step for step in draft.steps[-1:]):
        draft.step(each, {"commit": {}}, title="Commit")
    step = draft.steps[-1]
    into_commit(step["commit"], each, draft.blanks)
    first = int(step["follows"]["lines"].partition("-")[0])
    step["follows"] = follows(draft.reading, first, each.last)
    pushed = tuple(command for command in each.commands if whole.pushes(command))
    place = f"steps[{len(draft.steps) - 1}]"
    return (push(draft, replace(each, commands=pushed)) if pushed else None) or place


def push(draft: Draft, each: Found) -> str | None:
    """`git push`, once, and what it says of the remote and the branch; None for what is more, or
    goes elsewhere."""
    if not whole.only(each, whole.pushes) or len(each.commands) > 1:
        return None
    words = [w for w in each.commands[-1].words[2:] if not w.startswith("-")]
    names = [w.rpartition(":")[2] for w in words if re.fullmatch(r"[\w./:-]+", w)]
    goes: Data = {"remote": names[0]} if names else {}
    if len(names) > 1 and names[1] not in ("HEAD", "tag"):
        goes["branch"] = names[1]
    at = draft.step_with("push")
    if at is not None:
        same = len(names) < 3 and all(draft.source.get(key) == goes[key] for key in goes)
        return f"steps[{at}]" if same else None
    draft.source.update(goes)
    return draft.step(each, {"push": {}}, title="Push")


def update(draft: Draft, each: Found) -> str:
    """What brings the code to the hosts, once, and the directory that it brings it to; to another
    directory as it stands."""
    into = (c.words[1] for c in each.commands if c.head == "cd" and len(c.words) > 1)
    directory, at = next(into, each.cwd), draft.step_with("update")
    if at is not None:
        known = draft.source.get("directory", directory)
        return f"steps[{at}]" if directory in ("", known) else run(draft, each)
    if directory:
        draft.directory(replace(each, cwd=directory))
    return draft.step(each, {"update": {}, "on": "all"}, title="Update the code")


def brings_code(draft: Draft, each: Found) -> bool:
    """Whether a command is git's, fetches, and runs where the code goes."""
    git = any(
        c.head == "git" and _BRINGS.search(re.sub(r"^git -C \S+", "git", c.text))
        for c in each.commands
    )
    there = each.host or each.cwd.startswith("/") or draft.step_with("push") is not None
    return bool(git and there) and whole.only(each, lambda c: whole.brings(c) and not c.sudo)


def restart(draft: Draft, each: Found) -> str | None:
    """The restart of the target's service, once; None for that of another one, or more."""
    names = {service_name(replace(each, commands=(one,))) for one in whole.acting(each)}
    if each.backend not in SERVICES or len(names - {""}) > 1 or not _runs_anew(draft, each):
        return None
    named = next(filter(None, map(service_name, _restarts(draft, each))), "")
    known = draft.service or {"name": named or "app", "backend": each.backend}
    name = service_name(each)
    if each.backend != known["backend"] or (name and known["name"] not in ("app", name)):
        return None
    if not named and not draft.service:
        draft.blanks.ask(each, "which service is restarted? (service.name; app is written down)")
    draft.service = {**known, "name": name or known["name"]}
    if each.backend == "docker-compose" and any("--build" in c.words for c in each.commands):
        draft.service["build"] = True
    for at, step in enumerate(draft.settle):
        if "restart" in step:
            return f"settle[{at}]"
    return draft.step(each, {"restart": {}, "on": "all"}, "settle", title="Restart")


def _runs_anew(draft: Draft, each: Found) -> bool:
    """Whether the service runs anew after it: a stop does when its start is what comes next."""
    if not whole.only(each, lambda c: whole.restarts(c) or whole.stops(c)):
        return False
    after = next((other for other in draft.reading.found if other.line > each.last), None)
    return any(map(whole.restarts, each.commands)) or (
        after is not None
        and (after.phase, after.backend) == ("restart", each.backend)
        and any(map(whole.restarts, after.commands))
    )


def _restarts(draft: Draft, each: Found) -> Iterator[Found]:
    """This restart, and the others that may name the same service."""
    yield each
    group = (each.alternative or "").partition(":")[0]
    for other in draft.reading.found:
        instead = group and (other.alternative or "").partition(":")[0] == group
        if other.phase == "restart" and (other.backend == each.backend or instead):
            yield other
