"""An answer to an open question, written where it belongs: a step, a check, the inventory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace

from backout.documents.bindings import Data
from backout.documents.draft import Built
from backout.documents.nouns import Question
from backout.documents.pairing import lines_of
from backout.documents.pieces import OPEN, refusal
from backout.documents.rendering import PHASES
from backout.documents.steps import UNDECIDED

HINTS: Mapping[str, str] = {
    "undo": "a command that takes it back, or: none: WHY",
    "var": "the value",
    "machines": "NAME=ADDRESS or ADDRESS, separated by commas; or: here",
    "directory": "the directory on the hosts",
    "proof": "an address that must answer, or a command that must exit with 0",
    "cleanup": "METHOD ADDRESS of the request that removes it, or: none: WHY",
    "back": "a command that goes back, or: by hand",
    "yes": "yes: it stays as it is written",
}
"""What may be typed, by what a question is about."""


def answered(built: Built, question: Question, text: str) -> Built:
    """With the answer in its place, and the question decided. Raises ValueError, in words, for an
    answer that says nothing here."""
    kind, _, name = question.about.partition(":")
    runbook, inventory = deepcopy(built.runbook), deepcopy(built.inventory)
    if kind == "undo":
        _undo(_step(runbook, question, UNDECIDED), text)
    elif kind == "var":
        inventory.setdefault("vars", {})[name] = text
    elif kind == "machines":
        inventory["hosts"] = dict(map(_host, text.split(",")))
    elif kind == "directory":
        inventory.setdefault("source", {})["directory"] = text
    elif kind == "proof":
        _prove(runbook, inventory, text)
    elif kind == "cleanup":
        _clean_up(inventory, question, text)
    elif kind == "back":
        _go_back(_step(runbook, question, ""), text)
    elif text.lower() not in ("y", "yes"):
        raise ValueError("only yes decides this here; anything else is done in the file")
    left = tuple(each for each in built.reading.questions if each != question)
    reading = replace(built.reading, questions=left)
    return Built(reading, refusing(runbook, built.reading.source, left), inventory)


def refusing(runbook: Data, source: str, questions: tuple[Question, ...]) -> Data:
    """With the step that refuses as long as something is open, and without it else."""
    rest = [step for step in runbook.get("preflight") or () if step.get("name") != OPEN]
    preflight = [*([refusal(source, questions)] if questions else []), *rest]
    if preflight and "preflight" not in runbook:
        head = [key for key in runbook if key not in PHASES and key != "diagnose"]
        first = {key: runbook[key] for key in head}
        return {**first, "preflight": preflight, **runbook}
    made = {key: preflight if key == "preflight" else value for key, value in runbook.items()}
    return {key: value for key, value in made.items() if key != "preflight" or value}


def _step(runbook: Data, question: Question, why: str) -> Data:
    for phase in PHASES:
        for step in runbook.get(phase) or ():
            open_ = not why or why in str(step.get("irreversible"))
            if lines_of(step) == question.line and open_:
                return step  # type: ignore[no-any-return] # a step of data is data
    raise ValueError("its step is not there any more")


def _why(text: str) -> str | None:
    """What follows `none:`; None where that is not said."""
    found = re.fullmatch(r"none\s*(?::\s*(.*))?", text, re.IGNORECASE)
    if found and not found[1]:
        raise ValueError("why is there none? none: WHY")
    return found[1] if found else None


def _undo(step: Data, text: str) -> None:
    why = _why(text)
    step["irreversible"] = why
    if why is None:
        del step["irreversible"]
        step["undo"] = text


def _host(text: str) -> tuple[str, Data]:
    name, equals, address = text.strip().partition("=")
    address = address.strip() if equals else name
    user, at, host = address.rpartition("@")
    if address == "here":
        return name, {"connection": "local"}
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name.strip()) and equals:
        raise ValueError(f"{name!r} is no name of a host")
    if not re.fullmatch(r"[A-Za-z0-9:][\w.:-]*", host):
        raise ValueError(f"{host!r} is no address")
    known = {"user": user} if at else {}
    named = name.strip() if equals else re.sub(r"[^\w.-]", "-", host)
    return named, {"address": host, **known}


def _prove(runbook: Data, inventory: Data, text: str) -> None:
    look: Data = {"command": text, "expect": ["exit_code == 0"]}
    if re.match(r"https?://\S+$", text):
        look = {"http": {"url": text}, "expect": ["status < 400"]}
    inventory.setdefault("checks", {})["alive"] = look
    if not any("verify" in step for step in runbook.get("settle") or ()):
        settle = [*runbook.get("settle", ()), {"name": "Prove it", "verify": "all"}]
        after: Data = {key: runbook.pop(key) for key in ("finally", "diagnose") if key in runbook}
        runbook |= {"settle": settle, **after}


def _clean_up(inventory: Data, question: Question, text: str) -> None:
    checks = (inventory.get("checks") or {}).values()
    check = next((c for c in checks if lines_of(c) == question.line and "http" in c), None)
    if check is None:
        raise ValueError("its check is not there any more")
    if _why(text) is not None:
        return
    method, _, url = text.partition(" ")
    if not re.fullmatch(r"[A-Za-z]+", method) or not url.strip():
        raise ValueError("METHOD ADDRESS, as in: DELETE https://api.example.org/things/7")
    check["cleanup"] = {"http": {"method": method.upper(), "url": url.strip()}}


def _go_back(step: Data, text: str) -> None:
    if text.lower() == "by hand":
        return
    kept: Data = {key: step[key] for key in ("name", "on", "follows") if key in step}
    step.clear()
    step.update({**kept, "run": ":", "undo": text})
