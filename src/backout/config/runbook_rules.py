"""What is wrong with a runbook, on its own or for a target."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import takewhile
from typing import Any

from backout.config import balancers
from backout.config.judge import (
    RESULT,
    SERVICE,
    WAYS,
    Judge,
    bare,
    is_doubted,
    names_known,
    secret_holders,
    unsure_checks,
    uses,
    without_value,
)
from backout.config.yaml_tree import Node, Trail
from backout.errors import Mistake
from backout.language.jinja import Known
from backout.model import Runbook, Step, Target
from backout.model.operands import variable
from backout.model.validation import did_you_mean
from backout.registry import Tables

NO_REASON = ("true", "false", "yes", "no", "on", "off")
"""What somebody writes who takes `irreversible` for a switch."""


class RunbookJudge(Judge):
    """Of a runbook, by itself or on a target."""

    def __init__(
        self,
        noun: Runbook,
        tree: Node,
        tables: Tables,
        said: Sequence[Mistake],
        target: Target | None,
        of_target: Sequence[Mistake],
    ) -> None:
        super().__init__(tree, tables, said)
        self.noun = noun
        self.target = target
        self.unsure = frozenset(unsure_checks(target, of_target) if target else ())
        self.hidden = secret_holders(target) if target else {}
        self.empty = without_value(target) if target else ()

    def saved(self, at: Trail) -> set[str] | None:
        """What the steps before that one save; None when that cannot be told."""
        before = list(takewhile(lambda each: each[0] != at, self.steps()))
        if any(is_doubted(self.said, trail, "save") for trail, _step in before):
            return None
        return {name for _trail, step in before for name in step.save}

    def known(self, trail: Trail, step: Step) -> dict[str, Collection[str] | None]:
        """What the templates of a step may use."""
        known = names_known(self.target, step.on, self.saved(trail), params=self.noun.params)
        known |= {name: None for name in ("vars", "secrets") if name in self.unsure}
        if "service" in self.unsure:
            known["service"] = SERVICE
        return known

    def steps(self) -> Iterator[tuple[Trail, Step]]:
        for phase in ("preflight", "steps", "settle", "finally"):
            found: tuple[Step, ...] = getattr(
                self.noun, "finally_" if phase == "finally" else phase
            )
            for index, step in enumerate(found):
                yield (phase, index), step

    def mistakes(self) -> Iterator[Mistake]:
        if not any(step for _trail, step in self.steps()) and not self.said:
            yield self.at((), "a runbook needs steps")
        for name, param in self.noun.params.items():
            if not param.fits_type:
                yield self.at(("params", name, "default"), f"must be {_OF_TYPE[param.type]}")
            if not name.isidentifier():
                yield self.at(("params", name), "a parameter's name is letters, digits and '_'")
        for key in ("summary", "document", "params", "targets"):
            yield from self.plain((key,)) if self.tree.get(key) else ()
        for trail, step in self.steps():
            if step.kind:
                yield from self.step(trail, step)
        yield from self.order()
        if self.target is not None and "checks" not in self.unsure:
            yield from self.expected(self.target)
        for index, rule in enumerate(self.noun.diagnose):
            trail = ("diagnose", index)
            inner = (*trail, "when")
            yield from self.expression(inner, rule.when, {"failure": None}, wanted="a boolean")
            yield from self.plain(trail)

    def step(self, trail: Trail, step: Step) -> Iterator[Mistake]:
        kind = self.tables.steps[step.kind]
        known = self.known(trail, step)
        if not is_doubted(self.said, trail, *WAYS):
            yield from self.way_back(trail, step, kind)
        yield from self.slips((*trail, step.kind), step.options)
        yield from self.words(trail, step, kind, known)
        for name in step.env:
            if not variable(name):
                wrong = f"{name!r} is not a variable's name: letters, digits and '_'"
                yield self.at((*trail, "env", name), wrong)
        if step.when is not None:
            inner = (*trail, "when")
            yield from self.expression(inner, step.when, bare(known), wanted="a boolean")
        results = dict.fromkeys({*RESULT, *getattr(kind, "names", ())})
        yield from self.saves((*trail, "save"), step.save, results)
        if step.options and step.options.moves_traffic and not step.on:
            yield self.at(trail, f"{step.kind} moves hosts; add on: all, a group or a host")
        if self.target is not None:
            if "hosts" not in self.unsure:
                yield from self.selects(trail, step.on, self.target)
                if step.options and step.options.moves_traffic:
                    yield from balancers.of_step(step, self.target, trail, self.at)
            if self.unsure.isdisjoint(("hosts", "service", "source")):
                yield from self.needs(trail, step, kind, self.target)
            if "checks" not in self.unsure:
                yield from self.named_checks(trail, step, self.target)

    def words(self, trail: Trail, step: Step, kind: Any, known: Known) -> Iterator[Mistake]:
        for key, _node in self.tree.find(trail).items():
            inner = (*trail, key)
            if key == step.kind:
                yield from self.options(inner, kind, known)
            elif key == "undo" and (own := self.own(step, known["saved"])):
                early = "its undo is known before it acts; save it in a step before this one"
                yield self.at(inner, f"saved.{own} is what this step saves, and {early}")
            elif key in ("undo", "check"):
                shell, told = getattr(kind, "shell", True), key in kind.Options.told_fields
                yield from self.template(inner, known, in_shell=shell, told=told)
            elif key in ("cwd", "env"):
                yield from self.template(inner, known, told=key == "cwd")
            else:
                yield from self.plain(inner)

    def order(self) -> Iterator[Mistake]:
        """What must be done before a step of another kind stands before it."""
        passed: set[str] = set()
        for trail, step in self.steps():
            later = getattr(self.tables.steps[step.kind], "precedes", "") if step.kind else ""
            if later and (later in passed or trail[0] != "steps"):
                yield self.at(trail, f"a {step.kind} step stands in `steps`, before {later}")
            passed.add(step.kind)

    def expected(self, target: Target) -> Iterator[Mistake]:
        for name in self.noun.baseline:
            if name not in target.checks:
                hint = did_you_mean(name, target.checks)
                yield self.at(("baseline", name), f"{target.name} has no check {name!r}{hint}")

    def way_back(self, trail: Trail, step: Step, kind: Any) -> Iterator[Mistake]:
        changes = kind.changes and not step.readonly
        if trail[0] == "preflight" and changes:
            yield self.at(trail, "preflight only reads: say readonly: true, or move the step")
        if (step.irreversible or "").strip().lower() in NO_REASON:
            yield self.at((*trail, "irreversible"), "say why: irreversible: the rows are gone")
        if step.net and not step.irreversible:
            told = "a net is for a step that cannot be undone: say irreversible: why, or give undo:"
            yield self.at((*trail, "net"), told)
        known = kind.undoes or step.undo or step.irreversible
        if trail[0] == "steps" and changes and not known:
            told = "it changes something: give undo:, or readonly: true, or irreversible: why"
            yield self.at(trail, f"step {step.name!r} has no way back; {told}")

    def own(self, step: Step, saved: Collection[str] | None) -> str:
        """What only the step itself saves, and its undo uses; empty where there is none."""
        later = () if saved is None else {*step.save} - {*saved}
        return next((name for name in uses(step.undo, "saved") if name in later), "")

    def named_checks(self, trail: Trail, step: Step, target: Target) -> Iterator[Mistake]:
        names = getattr(step.options, "checks", ())
        own = [(step.kind, name) for name in names if isinstance(names, tuple) and "{{" not in name]
        for key, name in (*own, *(("net", name) for name in step.net)):
            if name not in target.checks:
                hint = did_you_mean(name, target.checks)
                yield self.at((*trail, key), f"{target.name} has no check {name!r}{hint}")


_OF_TYPE = {"str": "text", "int": "a whole number", "bool": "true or false", "list": "a list"}
