"""A runbook -> a note that a person can follow when no tool is at hand, and that imports again.

A fence carries in its info string what Markdown has no words for: which step it is, and where it
runs. Shell text stands in the fences alone, so that what is read is what is meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Any

from backout.documents.bindings import Data
from backout.model import Check, Service, Source, Target

PHASES: Mapping[str, str] = {
    "preflight": "Before the first change: these only look",
    "steps": "Steps",
    "settle": "After the steps of each batch, and again after going back",
    "finally": "At the end, whatever happened",
}
TEXTS = ("run", "manual", "approve")
"""Kinds whose whole meaning is a text."""
ASIDE = ("undo", "check")
_KINDS = (
    *("run", "commit", "push", "update", "restart", "upload", "template", "sql"),
    *("verify", "wait", "approve", "manual", "build", "traffic"),
)
_RESTARTS: Mapping[str, str] = {
    "systemd": "sudo systemctl restart {name} && systemctl is-active {name}",
    "pm2": "pm2 restart {name} && pm2 list",
    "docker-compose": "docker compose up -d --force-recreate {name}",
    "docker": "docker restart {name}",
    "supervisor": "supervisorctl restart {name} && supervisorctl status {name}",
    "heroku": "heroku ps:restart -a {name}",
}


def render(runbook: Data, target: Target | None = None) -> str:
    """The note. `runbook` is the file's data."""
    parts = [
        f"# {_line(str(runbook.get('summary') or 'A runbook'))}",
        _about(runbook),
        *(_phase(phase, runbook.get(phase) or (), target) for phase in PHASES),
        _checks(target) if target else "",
        _way_back(runbook.get("steps") or ()),
        _when_it_fails(runbook.get("diagnose") or ()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(runbook: Data) -> str:
    """What is no step: parameters, rules, and the note that it was made from."""
    rest = {key: value for key, value in runbook.items() if key not in PHASES}
    said = "What may be given with `--param`, and what else the runbook says:"
    fence = _fence(json.dumps(rest, indent=1, ensure_ascii=False), "json", {"runbook": 1})
    return f"{said}\n\n{fence}"


def _phase(phase: str, steps: Sequence[Data], target: Target | None) -> str:
    if not steps:
        return ""
    told = [_step(phase, at, step, target) for at, step in enumerate(steps, 1)]
    return "\n\n".join((f"## {PHASES[phase]}", *told))


def _step(phase: str, at: int, step: Data, target: Target | None) -> str:
    kind = kind_of(step)
    text, named = step.get(kind), kind in TEXTS and kind in step
    beside = {key for key in ASIDE if writable(step.get(key))}
    kept = {key: value for key, value in step.items() if key not in beside}
    if named:
        kept[kind] = None
    words = {"step": kept, "phase": phase, **_end(str(text) if named else "")}
    body = str(text) if named else "\n".join(by_hand(kind, step, target))
    language = "text" if kind in ("manual", "approve") else "sh"
    parts = [
        f"### {at}. {_line(str(step.get('name') or kind))}",
        _where(step, target),
        _fence(body, language, words),
        *(_aside(key, str(step[key]), kind) for key in ASIDE if key in beside),
        _no_way_back(step),
    ]
    return "\n\n".join(part for part in parts if part)


def _no_way_back(step: Data) -> str:
    why, net = step.get("irreversible"), step.get("net", ())
    names = [net] if isinstance(net, str) else net
    before = f". Right before it must pass: {_line(', '.join(map(str, names)))}" if names else ""
    return f"There is no way back: {_line(str(why))}{before}" if why else ""


def kind_of(step: Data) -> str:
    """Which kind of step it is."""
    return next((key for key in step if key in _KINDS), "run")


def writable(text: object) -> bool:
    """Whether a fence can hold a text so that it is read again as it was."""
    bare = text.removesuffix("\n") if isinstance(text, str) else ""
    return bool(bare.strip()) and not re.search(r"[\r\0\u2028\u2029\x0b\x0c]", bare)


def _end(text: str) -> Data:
    return {"newline": 1} if text.endswith("\n") else {}


def _aside(key: str, text: str, kind: str) -> str:
    said = "To take it back:" if key == "undo" else "Is it done already? (0 yes, 1 no)"
    language = "text" if kind == "manual" else "sh"
    return f"{said}\n\n{_fence(text, language, {key: 1, **_end(text)})}"


def _fence(text: str, language: str, words: Data) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    mark = "`" * max(3, longest + 1)
    info = json.dumps(words, ensure_ascii=True).replace("`", "\\u0060")
    return f"{mark}{language} {info}\n{text.removesuffix(chr(10))}\n{mark}"


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _where(step: Data, target: Target | None) -> str:
    on = step.get("on")
    if not on:
        return "On your own machine."
    hosts = [host.name for host in target.select(str(on))] if target else []
    named = f": {', '.join(hosts)}" if hosts else ""
    return f"On each host of `{on}`{named}, one batch after the other."


def by_hand(kind: str, step: Data, target: Target | None) -> Iterator[str]:
    """What a person would type for a kind that is more than a text."""
    options = step.get(kind)
    source = (target.source if target else None) or Source()
    if kind == "commit":
        given = options if isinstance(options, dict) else {"message": options or "Deploy"}
        paths = given.get("paths") or ()
        paths = [paths] if isinstance(paths, str) else paths
        yield f"git add {'-- ' + ' '.join(quote(str(path)) for path in paths) if paths else '-u'}"
        yield f"git commit -m {quote(str(given.get('message', 'Deploy')))}"
    elif kind == "push":
        yield f"git push {quote(source.remote)} HEAD:{quote(source.branch)}"
    elif kind == "update":
        yield f"cd {quote(source.directory or '<directory>')}"
        yield "git rev-parse HEAD   # keep it: this is the way back"
        yield f"git fetch {quote(source.remote)} && git checkout {quote(source.branch)}"
        yield "git pull --ff-only"
    elif kind == "restart":
        yield from _restart(target)
    elif kind == "verify":
        yield "# every check below, and each of them must say what is expected"
    else:
        yield f"# {kind}: {_line(json.dumps(options, ensure_ascii=False))}"


def _restart(target: Target | None) -> Iterator[str]:
    services: dict[tuple[str, str], Service] = {}
    for host in target.hosts.values() if target else ():
        if service := target.service_on(host) if target else None:
            services[service.backend, service.name] = service
    for (backend, name), service in services.items():
        if service.bluegreen:
            yield f"# start {name} in its idle slot, prove it there, then send traffic to it"
        else:
            yield _RESTARTS.get(backend, "# restart {name}").format(name=quote(name))
    if not services:
        yield "# restart the service, and see that another process answers"


def _checks(target: Target) -> str:
    told = [_check(check) for check in target.checks.values()]
    return "\n\n".join(("## Checks", *told)) if told else ""


def _check(check: Check) -> str:
    expected = " and ".join(f"`{each}`" for each in check.expect)
    return f"### {check.name}\n\nExpected: {expected}.\n\n{_fence(_curl(check), 'sh', {'look': 1})}"


def _curl(check: Check) -> str:
    options = check.options
    if check.kind == "command":
        return str(options.run)
    if check.kind != "http":
        return f"# a check of the kind {check.kind}: invoke verify --check {check.name}"
    body = json.dumps(options.json_) if options.json_ is not None else options.body
    words = ["curl -sS -i", *(["-X " + options.method] if options.method else [])]
    words += [f"-H {quote(f'{name}: {value}')}" for name, value in options.headers.items()]
    words += ["-H 'Content-Type: application/json'"] if options.json_ is not None else []
    words += [f"-d {quote(body)}"] if body else []
    return " \\\n  ".join((*words, quote(options.url)))


def _way_back(steps: Sequence[Data]) -> str:
    """Every undo, the last step's first."""
    rows = [row for step in reversed(steps) for row in _back(step)]
    return "\n".join(("## The way back, in this order", "", *rows)) if rows else ""


def _back(step: Data) -> Iterator[str]:
    name = _line(str(step.get("name") or kind_of(step)))
    own: Mapping[str, str] = {
        "commit": "take the commit back, or leave it to the push once it is published",
        "push": "revert what was pushed, and push that",
        "update": "check out the commit that ran before",
    }
    if "undo" in step:
        yield f"1. {name}: as written under it, to take it back"
    elif kind_of(step) in own:
        yield f"1. {name}: {own[kind_of(step)]}"
    elif "irreversible" in step:
        yield f"1. {name}: there is none: {_line(str(step['irreversible']))}"


def _when_it_fails(rules: Sequence[Mapping[str, Any]]) -> str:
    rows = [f"- `{_line(str(rule['when']))}`: {_line(str(rule['say']))}" for rule in rules]
    after = (
        "Go the way back, restart, and look at every check once more:"
        " the old release must prove itself."
    )
    return "\n\n".join(("## When it fails", *(["\n".join(rows)] if rows else []), after))
