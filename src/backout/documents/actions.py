"""A workflow of GitHub Actions -> the blocks of the job that deploys; all else named by line."""

from __future__ import annotations

import re

from backout.documents.markdown import Block, left
from backout.documents.yaml_lines import Node, covered, entry, items, pairs, script, text

OWN = "GitHub Actions' own: nothing of a shell"
_DEPLOYS = re.compile(r"deploy|release|publish|ship|prod|rollout|rollback", re.IGNORECASE)
_ONLY_THERE = re.compile(
    r"\$\{\{(?!\s*(?:secrets|vars|env|inputs|github(?:\.event\.inputs)?)\.[A-Za-z_][\w-]*\s*\}\})"
)
_HANDED_ON = re.compile(r"GITHUB_(?:ENV|OUTPUT|PATH|STEP_SUMMARY)\b|^\s*echo .?::", re.MULTILINE)
_ALWAYS = re.compile(r"^\s*(?:\$\{\{)?\s*(?:always|success)\(\)\s*(?:\}\})?\s*$")
_FAILED = re.compile(r"^\s*(?:\$\{\{)?\s*failure\(\)\s*(?:\}\})?\s*$")
_SHELLS = ("", "sh", "bash", "bash -e {0}", "bash -l {0}")


def matches(root: Node) -> bool:
    """Whether it is a workflow."""
    return bool(list(pairs(entry(root, "jobs"))))


def blocks(root: Node, lines: list[str]) -> tuple[Block, ...]:
    """The commands of the jobs that deploy; where none says so, of all."""
    jobs = [(name, job) for name, _, job in pairs(entry(root, "jobs"))]
    chosen = [(n, j) for n, j in jobs if _DEPLOYS.search(f"{n} {text(entry(j, 'name'))}")] or jobs
    title = text(entry(root, "name")) or "Workflow"
    made = list[Block]()
    reasons: dict[int, str] = {}
    for name, job in jobs:
        if (name, job) not in chosen:
            reasons |= dict.fromkeys(covered(job), f"job {name}: not the one that deploys")
            continue
        for step in items(entry(job, "steps")):
            made += _step(step, (title, text(entry(job, "name")) or name), _cwd(root, job))
            reasons |= _reasons(step)
    return left(lines, made, reasons, OWN)


def _cwd(root: Node, job: Node) -> str:
    here = entry(job, "defaults", "run", "working-directory")
    return text(here or entry(root, "defaults", "run", "working-directory"))


def _step(step: Node, trail: tuple[str, ...], cwd: str) -> list[Block]:
    """The script of a step: its own, or what `ssh-action` runs on a host."""
    run, host = entry(step, "run"), ""
    if not run and "ssh-action" in text(entry(step, "uses")):
        run, host = entry(step, "with", "script"), text(entry(step, "with", "host"))
    if not run or _not_taken(step):
        return []
    name, (first, body) = text(entry(step, "name")), script(run)
    if _FAILED.match(text(entry(step, "if"))):
        trail = (*trail, "Rollback")
    cwd = text(entry(step, "working-directory")) or cwd
    return [Block("code", first, body, "sh", "", trail, name, name, cwd, host)]


def _not_taken(step: Node) -> str:
    """Why a step is none that runs elsewhere too."""
    condition = text(entry(step, "if"))
    if condition and not _ALWAYS.match(condition) and not _FAILED.match(condition):
        return f"runs only if {condition[:60]}, which GitHub alone evaluates"
    if text(entry(step, "shell")) not in _SHELLS:
        return f"run by {text(entry(step, 'shell'))[:40]}, not by a shell"
    run = entry(step, "run") or entry(step, "with", "script")
    if run and _ONLY_THERE.search(text(run)):
        return "an expression that GitHub alone evaluates"
    if run and _HANDED_ON.search(text(run)):
        return "it hands something to later steps through GitHub's own files"
    return ""


def _reasons(step: Node) -> dict[int, str]:
    reasons = dict.fromkeys(covered(step), _not_taken(step) or OWN)
    if uses := text(entry(step, "uses")):
        reasons |= dict.fromkeys(reasons, f"uses {uses[:60]}: no command of a shell")
    return reasons
