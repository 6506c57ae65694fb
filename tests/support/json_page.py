"""docs/json.md, made from the types of what the verbs answer.

python -m support.json_page     (in tests/) writes it
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from enum import Enum
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from backout.model import Release
from backout.reports import approvals, handed, notes, objects, plans, report, states, watched
from backout.reports.told import Told, is_left_out, key_of

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
Kind = type[Told]
ANSWERS: Mapping[str, tuple[Kind, ...]] = {
    **dict.fromkeys(("deploy", "run", "rollback", "resume", "abort", "show"), (report.Report,)),
    "follow": (report.Report,),
    "verify": (report.VerifyReport,),
    "plan": (plans.PlanReport,),
    "hold": (states.HoldReport, report.Report),
    "approve": (approvals.ApprovalReport,),
    "diff": (plans.Difference,),
    "rehearse": (report.Rehearsed,),
    "status": (states.StatusReport, states.Statuses),
    "history": (objects.History, objects.Chain),
    "history.export": (objects.Moved,),
    "history.import": (objects.Moved,),
    "ledger.copy": (objects.Moved,),
    "targets": (objects.TargetList,),
    "logs": (objects.Logs,),
    "exec": (objects.Looked, report.Report),
    "doctor": (states.DoctorReport,),
    "unlock": (states.UnlockReport,),
    "lint": (objects.Linted,),
    "watch": (watched.Watched, watched.Stopped),
    "serve": (watched.Stopped,),
    "worker": (watched.Stopped,),
    "workers": (handed.Zones,),
    "token.add": (watched.KeyShown,),
    "token.list": (watched.Keyring,),
    "token.remove": (watched.Keyring,),
    "alert.list": (watched.Alerts,),
    "alert.ack": (watched.Acknowledged,),
    "alert.silence": (watched.Silenced,),
    **dict.fromkeys(("schedule.install", "schedule.remove", "schedule.show"), (watched.Installed,)),
    "init": (objects.Written,),
    "demo": (objects.Played,),
    "example.gigz": (objects.Played,),
    "document.import": (notes.Imported,),
    "document.render": (notes.Rendered,),
    "prune": (objects.Pruned,),
    "uninstall": (objects.Uninstalled,),
    "completion": (objects.Script,),
    "ssh": (),
}
"""What each verb answers; the second is said below its table. `ssh` hands over to OpenSSH."""
HEAD = """# JSON

<!-- made from the types -->

With `--json` a verb prints one object on stdout, nothing else; each carries `"format": 1`.
A *release* is `{"number", "commit"}`, or null where none is known. Times are RFC 3339 in UTC;
durations are seconds unless the name says `_ms`. Python's reports have the same fields.

An error is an object too: `{"error": {"what", "where", "next"}, "exit_code", "state"}`, and with
mistakes in files `"mistakes": [{"file", "line", "path", "message"}]`.
"""


def kinds() -> list[Kind]:
    """Every object that a verb answers, and those within."""
    return _with_parts(dict.fromkeys(kind for answers in ANSWERS.values() for kind in answers))


def example(hint: Any, inside: tuple[Any, ...] = ()) -> Any:
    """Some value of a type; of what may hold another of its own kind, one that holds none."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return None if inner[0] in inside and NoneType in inner else example(inner[0], inside)
    if kind is Literal:
        return inner[0]
    if kind is tuple:
        return (example(inner[0], inside),)
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return {"web1": "x" if inner[1] is Any else example(inner[1], inside)}
    if hint is Release:
        return Release(42, "3f9c2e1")
    if isinstance(hint, type) and issubclass(hint, Enum):
        return next(iter(hint))
    if isinstance(hint, type) and issubclass(hint, Told):
        known: Any = hint
        hints = get_type_hints(hint)
        around = (*inside, hint)
        return known(**{each.name: example(hints[each.name], around) for each in fields(known)})
    return {str: "x", bool: True, NoneType: None, int: 7}.get(hint, 1.5)


def page() -> str:
    """The whole page."""
    verbs = "\n".join(["| verb | object |", "|---|---|", *map(_verb, ANSWERS)])
    return "\n\n".join([HEAD.strip(), verbs, *map(_section, kinds())]) + "\n"


def _verb(verb: str) -> str:
    told = ", or ".join(map(_link, ANSWERS[verb])) or "none: it hands over to OpenSSH"
    return f"| `{verb}` | {told} |"


def _with_parts(kinds: Mapping[Kind, None]) -> list[Kind]:
    """The kinds, and those that they hold."""
    found = dict(kinds)
    waiting = [*kinds]
    while waiting:
        hints = get_type_hints(waiting.pop(0)).values()
        for kind in (each for hint in hints for each in _held(hint)):
            if kind not in found:
                found[kind] = None
                waiting.append(kind)
    return [*found]


def _held(hint: Any) -> Iterator[Kind]:
    if isinstance(hint, type) and issubclass(hint, Told):
        yield hint
    for inner in get_args(hint):
        yield from _held(inner)


def _section(kind: Kind) -> str:
    known: Any = kind
    told, hints = dict(_docs(kind)), get_type_hints(kind)
    rows = [
        f"| `{key_of(each)}` | {_words(hints[each.name])} |"
        f" {_about(told.get(each.name, ''), left_out=is_left_out(each))} |"
        for each in fields(known)
    ]
    doc = (inspect.getdoc(kind) or "").partition("\n\n")[0]
    table = "\n".join(["| key | is | |", "|---|---|---|", *rows])
    return "\n\n".join([f"## {kind.__name__}", " ".join(doc.split()), *([table] if rows else [])])


def _about(doc: str, *, left_out: bool) -> str:
    words = re.sub(r"\bNone\b", "null", " ".join(doc.split())).replace("|", "\\|")
    return f"{words} Left out where it says nothing.".strip() if left_out else words


def _docs(kind: type) -> Iterator[tuple[str, str]]:
    """The words below each field of a class, and of those that it is made from."""
    for each in kind.__mro__:
        if each is Told or not issubclass(each, Told):
            continue
        tree = ast.parse(inspect.getsource(sys.modules[each.__module__]))
        body = next(
            node.body
            for node in tree.body
            if isinstance(node, ast.ClassDef) and node.name == each.__name__
        )
        for field, doc in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(doc, ast.Expr):
                yield ast.unparse(field.target), str(ast.literal_eval(doc.value))


def _words(hint: Any) -> str:
    """A type, for people."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return ", or ".join(dict.fromkeys(map(_words, sorted(inner, key=_is_null))))
    if kind is Literal:
        return ", ".join(f"`{each}`" for each in inner if each) or "left out"
    if kind is tuple:
        return f"list of {_words(inner[0])}"
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return "object" if inner[1] is Any else f"object: name → {_words(inner[1])}"
    if isinstance(hint, type) and issubclass(hint, Told):
        return _link(hint)
    if hint is Release:
        return "release"
    if isinstance(hint, type) and issubclass(hint, Enum):
        numbers = all(isinstance(each.value, int) for each in hint)
        return "number" if numbers else ", ".join(f"`{each.value}`" for each in hint)
    plain = {str: "text", bool: "true or false", NoneType: "null"}
    return plain.get(hint, "number")


def _is_null(hint: Any) -> bool:
    return hint is NoneType


def _link(kind: Kind) -> str:
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
