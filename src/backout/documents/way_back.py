"""A command of a note's way back -> a step's undo, or the place where a run goes back anyway."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from backout.documents import phases, whole
from backout.documents.bindings import Data
from backout.documents.draft import BACK, Draft
from backout.documents.naming import akin, escaped, service_name, shown
from backout.documents.nouns import Found, is_probe
from backout.documents.steps import SERVICES, UNDECIDED

_FETCHES = re.compile(r"^(?:sudo (?:-u \S+ )?)?git(?: -C \S+)? (?:pull|checkout|merge|switch)\b")
"""What brings another commit into a working copy, and nothing else."""


def way_back(draft: Draft, each: Found, check: Callable[[Draft, Found], str]) -> str | None:
    """Where it goes; None for what is there already. `check` makes a check of a look."""
    if re.search(r"(?:^|&& |sudo )git(?: -C \S+)? revert\b", each.text):
        return _reverts(draft, each)
    if {"follows", "blocking"} & {*each.flags}:
        return draft.to_look_at(each)
    if place := _restarts(draft, each):
        return place
    if each.requests and is_probe(each):
        return None if _is_checked(draft, each) else check(draft, each)
    if place := _undoes_a_step(draft, each):
        return place
    if {"interactive", "destructive"} & {*each.flags}:
        draft.blanks.ask(each, f"the way back needs a person: {shown(each.text)}", "yes")
        text = escaped("; ".join(filter(None, (each.told.replace("\n", "; "), each.text))))
        told = f"look at the way back, which a person does: {text}"
        return draft.step(each, {"manual": told, "undo": text})
    draft.back.append(draft.blanks.bound(_in_its_place(each), each, undo=True))
    draft.back_env |= draft.blanks.saved(each)
    draft.back_on = draft.back_on or ("all" if each.host and not whole.goes_there(each) else "")
    return BACK


def goes_anyway(draft: Draft, each: Found) -> bool:
    """Whether a run that goes back does so by itself."""
    git = whole.only(each, lambda c: c.head == "git")
    return bool(_restarts(draft, each)) or (git and draft.step_with("update", "push") is not None)


def _in_its_place(each: Found) -> str:
    """The text for a shell that is not where the note's one was, nor was told what that was."""
    goes = each.cwd and not (each.host and not each.cwd.startswith(("/", "~")))
    into = [f"cd {each.cwd}"] if goes and not whole.goes_there(each) else []
    return "\n".join((*into, *([each.told] if each.told else []), each.script))


def _restarts(draft: Draft, each: Found) -> str | None:
    """The restart that runs again by itself, when this is none of another service, or more."""
    if each.backend not in SERVICES or not whole.only(each, whole.restarts):
        return None
    name, own = service_name(each), draft.service
    same = own.get("backend") == each.backend and name in ("", own.get("name"))
    return "settle[0]" if same and draft.settle else None


def _is_checked(draft: Draft, each: Found) -> bool:
    """Whether a check asks for the same already."""
    asked = each.requests[0].url.rpartition("//")[2]
    https = (check["http"] for check in draft.checks.values() if "http" in check)
    return any(http["url"].endswith(asked) for http in https)


def _undoes_a_step(draft: Draft, each: Found) -> str | None:
    git = re.search(r"\bgit(?: -C \S+)? (?:checkout|reset|pull|push|fetch|switch)\b", each.script)
    git = git if whole.only(each, lambda c: c.head == "git") else None
    for at, step in enumerate(draft.steps):
        if git and ("update" in step or "push" in step):
            return f"steps[{at}]"
        if git and UNDECIDED in str(step.get("irreversible")) and _FETCHES.search(step["run"]):
            _take_back(draft, step, each)
            return f"steps[{at}]"
    return _akin(draft, each)


def _akin(draft: Draft, each: Found) -> str | None:
    """The one step that this takes back; where it could be several, or it only looks, none."""
    if phases.of_command(each.commands, each.text) in ("verify", "diagnose"):
        return None
    changing = [
        (at, step)
        for at, step in enumerate(draft.steps)
        if "run" in step and not step.get("readonly")
    ]
    for at, step in changing:
        if step.get("undo") == draft.blanks.bound(each.script, each, undo=True):
            return f"steps[{at}]"
    fitting = [(at, step) for at, step in changing if akin(str(step["run"]), each.script)]
    if len(fitting) == 1 and UNDECIDED in str(fitting[0][1].get("irreversible")):
        _take_back(draft, fitting[0][1], each)
        return f"steps[{fitting[0][0]}]"
    return None


def _take_back(draft: Draft, step: Data, each: Found) -> None:
    """This is how the step is undone; it need not be asked any more."""
    here = each if step.get("cwd", "") != each.cwd else replace(each, cwd="")
    step["undo"] = draft.blanks.bound(_in_its_place(here), each, undo=True)
    if env := draft.blanks.saved(each):
        step["env"] = {**step.get("env", {}), **env}
    del step["irreversible"]
    line = int(step["follows"]["lines"].partition("-")[0])
    asked = [q for q in draft.blanks.questions if q.line == line and q.about == "undo"]
    ours = [q for q in asked if q.ask.endswith(shown(str(step["run"]).rpartition("\n")[2]))]
    draft.blanks.questions = [q for q in draft.blanks.questions if q not in (ours or asked)[:1]]


def _reverts(draft: Draft, each: Found) -> str | None:
    """`git revert`: a run that pushed reverts by itself what it pushed."""
    commit = r"revert\b.*\S*(?:[0-9a-f]{7}|HEAD|<|\$|commit|COMMIT|hash|sha|\{)"
    if not re.search(commit, each.text):
        which = "of which commit? The run itself reverts what it pushed"
        draft.blanks.ask(each, f"{shown(each.text)}: {which}", "yes")
    if not whole.only(each, lambda c: c.head == "git" or whole.restarts(c)):
        besides = "the run itself reverts what it pushed; what else of this does it take?"
        draft.blanks.ask(each, f"{shown(each.text)}: besides the revert, {besides}", "yes")
    at = draft.step_with("push", "commit")
    if at is not None:
        return f"steps[{at}]"
    draft.blanks.ask(each, "nothing in the note commits or pushes what is reverted here")
    return None
