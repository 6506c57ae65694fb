"""A playbook of Ansible -> the blocks of its shell and command tasks; all else named by line."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from backout.documents.markdown import Block, left
from backout.documents.yaml_lines import Node, covered, entry, items, pairs, script, text

OWN = "Ansible's own: nothing of a shell"
_MODULES = ("shell", "command", "raw")
_GROUPS = ("pre_tasks", "tasks", "post_tasks", "handlers")
_KEYWORDS = frozenset(
    """
    name register become become_user tags changed_when failed_when ignore_errors no_log args
    environment delegate_to run_once notify listen check_mode diff vars async poll retries delay
    until when loop loop_control any_errors_fatal throttle timeout
    """.split()  # noqa: SIM905 - words, as a list of words
)
_ONLY_THERE = re.compile(r"\{%|\{\{(?!\s*[A-Za-z_]\w*\s*\}\})")


def matches(root: Node) -> bool:
    """Whether it is a playbook, or a list of tasks."""
    found = [{key for key, _, _ in pairs(item)} for item in items(root)]
    return bool(found) and any(
        {"hosts", "tasks", "block"} & play or any(_module(key) for key in play) for play in found
    )


def blocks(root: Node, lines: list[str]) -> tuple[Block, ...]:
    """The commands of every play, in its order."""
    made, reasons = list[Block](), dict[int, str]()
    for play in items(root):
        title, host = text(entry(play, "name")) or "Playbook", text(entry(play, "hosts"))
        there = "" if host in ("localhost", "127.0.0.1") else host
        groups = [(g, entry(play, g)) for g in _GROUPS if entry(play, g)] or [("tasks", None)]
        for group, tasks in groups:
            for task, trail in _tasks(items(tasks) if tasks else (play,), (title, group)):
                found, why = _task(task, trail, there)
                made += found
                reasons |= dict.fromkeys(covered(task), why)
    return left(lines, made, reasons, OWN)


def _tasks(tasks: object, trail: tuple[str, ...]) -> Iterator[tuple[Node, tuple[str, ...]]]:
    """Each task; those of `rescue` are the way back."""
    for task in tasks if isinstance(tasks, list | tuple) else ():
        inner = [(part, entry(task, part)) for part in ("block", "rescue", "always")]
        if not inner[0][1]:
            yield task, trail
            continue
        for part, found in inner:
            under = (*trail, "Rollback") if part == "rescue" else trail
            yield from _tasks(items(found), under)


def _module(key: str) -> str:
    bare = key.removeprefix("ansible.builtin.").removeprefix("ansible.legacy.")
    return bare if bare in _MODULES else ""


def _task(task: Node, trail: tuple[str, ...], host: str) -> tuple[list[Block], str]:
    """The block of a task, and what is said of its other lines."""
    told = {key: value for key, _, value in pairs(task)}
    key = next((each for each in told if _module(each)), "")
    if not key:
        module = next((each for each in told if each not in _KEYWORDS), "task")
        return [], f"module {module}: no command of a shell"
    if why := next((k for k in told if k in ("when", "loop", "until") or k[:5] == "with_"), ""):
        return [], f"{why}: Ansible alone evaluates it"
    node = told[key]
    command = node if isinstance(node, yaml.ScalarNode) else entry(node, "cmd")
    if command is None or _ONLY_THERE.search(text(command)):
        return [], "an expression that Ansible alone evaluates" if command else f"{key} without cmd"
    first, body = script(command)
    cwd = text(entry(told.get("args"), "chdir") or entry(node, "chdir"))
    name = text(told.get("name"))
    where = "" if text(told.get("delegate_to")) in ("localhost", "127.0.0.1") else host
    found = Block("code", first, body, "sh", "", trail, name, name, cwd, where)
    return [found], OWN
