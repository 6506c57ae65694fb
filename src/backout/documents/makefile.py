"""A Makefile -> the recipes of its deploy target and of what that needs; all else named by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from backout.documents.markdown import Block, left, lines_of

OWN = "make's own: nothing of a shell"
_TARGET = re.compile(r"^(?P<names>[A-Za-z_][\w ./-]*?)\s*::?(?!=)(?P<needs>[^=#]*)(?:#.*)?$")
_VARIABLE = re.compile(r"^(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*[:?]?=\s*(?P<value>.*)$")
_DEPLOYS = re.compile(r"^(?:deploy|ship|release|publish|rollout)", re.IGNORECASE)
_BACK = re.compile(r"^(?:rollback|revert|undeploy|restore)", re.IGNORECASE)
_USE = re.compile(r"\$(?:\((?P<round>[^()]*)\)|\{(?P<curly>[^{}]*)\}|(?P<one>[^$({]))|\$\$")


@dataclass(slots=True)
class _Rule:
    needs: tuple[str, ...]
    recipe: list[tuple[int, str]] = field(default_factory=list)


def blocks(text: str) -> tuple[Block, ...]:
    """One block for each line of a recipe, as the shell gets it."""
    lines = list(lines_of(text))
    rules, variables = _rules(lines)
    wanted = list(dict.fromkeys(n for name in _roots(rules) for n in _needed(name, rules)))
    made, reasons = list[Block](), dict[int, str]()
    for name, rule in rules.items():
        for number, _ in rule.recipe:
            reasons[number] = f"target {name}: not part of the deploy"
    for name in wanted:
        trail = ("Makefile", "Rollback" if _BACK.match(name) else name)
        for number, line in rules[name].recipe:
            command, why = _shell(line, variables)
            reasons[number] = why
            if not why:
                made.append(
                    Block("code", number, tuple(command.split("\n")), "sh", "", trail, name)
                )
    return left(lines, made, reasons, OWN)


def _rules(lines: list[str]) -> tuple[dict[str, _Rule], dict[str, str]]:
    rules: dict[str, _Rule] = {}
    variables: dict[str, str] = {}
    current, at = list[_Rule](), 0
    while at < len(lines):
        first, line = at, lines[at]
        while line.endswith("\\") and at + 1 < len(lines):
            at += 1
            line = f"{line}\n{lines[at]}"
        at += 1
        if line.startswith("\t"):
            for rule in current:
                rule.recipe.append((first + 1, line[1:]))
        elif found := _VARIABLE.match(line):
            variables[found["name"]] = found["value"].strip()
        elif (found := _TARGET.match(line)) and not line.startswith("."):
            needs = tuple(found["needs"].split("|")[0].split())
            current = [rules.setdefault(name, _Rule(needs)) for name in found["names"].split()]
        elif line.strip() and not line.startswith("#"):
            current = []
    return rules, variables


def _roots(rules: dict[str, _Rule]) -> Iterator[str]:
    yield from [name for name in rules if _DEPLOYS.match(name)][:1]
    yield from (name for name in rules if _BACK.match(name))


def _needed(name: str, rules: dict[str, _Rule]) -> list[str]:
    """What a target needs, first what comes first; each once."""
    found, open_ = list[str](), [(name, False)]
    seen = set[str]()
    while open_:
        each, done = open_.pop()
        if done:
            found.append(each)
        elif each in rules and each not in seen:
            seen.add(each)
            open_.append((each, True))
            open_ += [(need, False) for need in reversed(rules[each].needs)]
    return found


def _shell(line: str, variables: dict[str, str]) -> tuple[str, str]:
    """A line of a recipe as the shell gets it, or why it cannot be said."""
    bare = re.sub(r"^[\t ]*[@+]*", "", line).replace("\n\t", "\n")
    if bare.startswith("-"):
        return "", "make goes on when it fails: say so in the step"
    unknown = list[str]()

    def put(found: re.Match[str]) -> str:
        if found.group() == "$$":
            return "$"
        name = found["round"] or found["curly"] or found["one"] or ""
        if found["round"] and name.startswith("shell "):
            return f"$({name[6:]})"
        if not re.fullmatch(r"[A-Za-z_]\w*", name) or "$" in variables.get(name, ""):
            unknown.append(found.group())
        return variables.get(name) or f"${{{name}}}"

    command = _USE.sub(put, bare)
    return (command, "") if not unknown else ("", f"{unknown[0][:40]}: make alone expands it")
