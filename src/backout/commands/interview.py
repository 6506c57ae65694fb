"""The open questions of a note, asked on the terminal, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from backout.documents.answering import HINTS, answered
from backout.documents.building import branches
from backout.documents.draft import Built
from backout.documents.files import mistakes_of
from backout.documents.nouns import Question, Reading
from backout.errors import Mistakes
from backout.ports import Operator
from backout.registry import Tables


class Interview:
    """Asks, and keeps what is answered: nothing is written here."""

    def __init__(self, operator: Operator, tables: Tables) -> None:
        """Raises Mistakes where nobody can be asked."""
        if not operator.present:
            raise Mistakes(
                "--interactive asks on a terminal, and there is none",
                where="command line",
                next="the same without --interactive; then answer in the runbook",
            )
        self._operator = operator
        self._tables = tables
        self._over = False

    def choices(self, reading: Reading, questions: tuple[Question, ...]) -> dict[str, str]:
        """Which of alternatives are meant, by their group."""
        chosen: dict[str, str] = {}
        for question in questions:
            kind, _, group = question.about.partition(":")
            if kind == "choice":
                known = branches(reading, group)
                text = self._ask(question, " or ".join(known), partial(_of, known))
                chosen |= {group: text} if text else {}
        return chosen

    def rest(self, built: Built) -> Built:
        """With every answer in its place."""
        for question in built.reading.questions:
            kind = question.about.partition(":")[0]
            if kind in HINTS and not self._over:
                tried: list[Built] = []
                self._ask(question, HINTS[kind], self._taking(built, question, tried))
                built = tried[-1] if tried else built
        return built

    def _taking(self, built: Built, question: Question, tried: list[Built]) -> Callable[[str], str]:
        """What is wrong with an answer; one with which nothing is, is kept in `tried`."""

        def take(text: str) -> str:
            try:
                made = answered(built, question, text)
            except ValueError as error:
                return str(error)
            before = {each.message for each in mistakes_of(built, self._tables)}
            for mistake in mistakes_of(made, self._tables):
                if mistake.message not in before:
                    return mistake.message
            tried.append(made)
            return ""

        return take

    def _ask(self, question: Question, hint: str, wrong: Callable[[str], str]) -> str:
        """The answer, asked until it says something; empty when it is left open."""
        asked = f"line {question.line}: {question.ask}\n  ({hint}; Enter leaves it open)"
        while not self._over:
            text = self._operator.ask(asked)
            self._over = text is None
            if not text:
                break
            if why := wrong(text):
                asked = f"  {why}"
                continue
            return text
        return ""


def _of(known: tuple[str, ...], text: str) -> str:
    return "" if text in known else f"one of: {', '.join(known)}"
