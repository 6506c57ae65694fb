"""Nouns held against what they name: hosts, checks, secrets, parameters, templates, expressions.

What only a target can define is not judged in a runbook on its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from backout.config.runbook_rules import RunbookJudge
from backout.config.target_rules import TargetJudge
from backout.config.yaml_tree import Node
from backout.errors import Mistake
from backout.model import Runbook, Target
from backout.registry import Tables


def runbook(
    noun: Runbook,
    tree: Node,
    tables: Tables,
    target: Target | None = None,
    *,
    said: Sequence[Mistake] = (),
    of_target: Sequence[Mistake] = (),
) -> list[Mistake]:
    """What is wrong with a runbook on its own, or for a target. `said` are the mistakes that
    were found in it before, `of_target` those of the target: what may only follow from them is
    not said."""
    return sorted(set(RunbookJudge(noun, tree, tables, said, target, of_target).mistakes()))


def target(
    noun: Target, tree: Node, tables: Tables, *, said: Sequence[Mistake] = ()
) -> list[Mistake]:
    """What is wrong with an inventory; `said` as for a runbook."""
    return sorted(set(TargetJudge(noun, tree, tables, said).mistakes()))
