"""What the blanks of a note are bound to: params, secrets, variables, and what a run records."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from backout.documents.naming import escaped, literal
from backout.documents.nouns import Found, Question, Reading
from backout.documents.placeholders import Placeholder, assigned, found
from backout.documents.variables import uses

Data = dict[str, Any]


@dataclass
class Bindings:
    """Binds blank after blank, and keeps what must be given and what must be asked."""

    reading: Reading
    params: Data = field(default_factory=dict)
    variables: Data = field(default_factory=dict)
    secrets: Data = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)

    def filled(self, each: Found, *, check: bool = False) -> tuple[str, Data]:
        """The script with templates for its blanks, and the environment for its variables."""
        env: Data = {}
        for blank in self._blanks(each.script, each.line):
            if blank.variable:
                variable = blank.text.strip("${}")
                if re.fullmatch(r"\w+", variable):
                    env[variable] = self.reference(blank, check=check)
        saved = {} if check else self.saved(each)
        return self.bound(each.script, each, check=check), {**env, **saved}

    def saved(self, each: Found) -> Data:
        """The environment for the variables that steps before it have saved."""
        own = assigned(each.script) if self._sets else ()
        return {
            name: f"{{{{ saved.{name} }}}}"
            for name, line in self._sets.items()
            if line < each.line and name not in own and uses(each.script, name)
        }

    @cached_property
    def _sets(self) -> Mapping[str, int]:
        """Each variable that a step saves, with the first line that does."""
        before = (each for each in self.reading.found if each.sets and each.phase != "rollback")
        return {name: each.line for each in reversed(tuple(before)) for name in each.sets}

    def bound(self, text: str, each: Found, *, check: bool = False, undo: bool = False) -> str:
        """A shell text with its blanks bound, and nothing else in it that a template reads."""
        pieces, at = list[str](), 0
        for blank in self._blanks(text, each.line):
            if blank.variable:
                continue
            start = text.index(blank.text, at)
            value = (
                "{{ release.previous }}"
                if undo and blank.recorded
                else self.reference(blank, check=check)
            )
            pieces += [literal(text[at:start], text[:at]), value]
            at = start + len(blank.text)
        return "".join((*pieces, literal(text[at:], text[:at])))

    def checked(self, text: str, each: Found) -> str:
        pieces, at = list[str](), 0
        for blank in self._blanks(text, each.line):
            start = text.index(blank.text, at)
            pieces += [escaped(text[at:start]), self.reference(blank, check=True)]
            at = start + len(blank.text)
        return "".join((*pieces, escaped(text[at:])))

    def _blanks(self, text: str, line: int) -> Sequence[Placeholder]:
        return tuple(found(text, line, defined=self.reading.defined))

    def reference(self, blank: Placeholder, *, check: bool) -> str:
        """A param of the runbook, a secret, or for a check a variable of the inventory."""
        if blank.secret:
            self.secrets[blank.name] = {"env": blank.name.upper()}
            return f"{{{{ secrets.{blank.name} }}}}"
        if check:
            if blank.name not in self.variables:
                self.variables[blank.name] = escaped(blank.text)
                self.questions.append(
                    Question(
                        blank.line,
                        f"what is {blank.text}? (vars.{blank.name})",
                        f"var:{blank.name}",
                    )
                )
            return f"{{{{ vars.{blank.name} }}}}"
        help = escaped(f"{self.reading.source}:{blank.line}: {blank.text}")
        self.params.setdefault(blank.name, {"required": True, "help": help})
        return f"{{{{ params.{blank.name} }}}}"

    def ask(self, each: Found, ask: str, about: str = "") -> None:
        self.questions.append(Question(each.line, ask, about))
