"""What is done from the web view: as at the terminal, on record with the visitor's name."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from backout.adapters.storage.approvals import Approvals
from backout.adapters.storage.telling import STOP, Telling, Wish
from backout.adapters.web.visitors import Visitor
from backout.commands import saved_plan
from backout.commands.approve import Answering
from backout.commands.errand import Errands
from backout.commands.follow import Owner
from backout.commands.ledger import refuse_moved
from backout.commands.options import AlertAck, AlertSilence
from backout.commands.watch import Watching
from backout.errors import Mistakes, Refused
from backout.model.people import Person, name_of
from backout.ports import Screen
from backout.project.project import Workplace

Form = Mapping[str, str]
MAY = {
    "acknowledge": "acknowledge",
    "silence": "acknowledge",
    "approve": "approve",
    **dict.fromkeys(("stop", "plan", "start", "rollback", "resume", "abort"), "deploy"),
}
"""What each needs."""


class Acting:
    """One project's acts."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace, self.screen = workplace, screen
        self.errands = Errands(workplace)
        self._acts: Mapping[str, Callable[[Form, Visitor], str]] = {
            "acknowledge": self._acknowledge,
            "silence": self._silence,
            "approve": self._approve,
            "stop": self._stop,
            "plan": self._plan,
            "start": self._start,
            "rollback": self._rollback,
            "resume": self._go_on("resume"),
            "abort": self._go_on("abort"),
        }

    def do(self, what: str, form: Form, visitor: Visitor) -> str:
        """The path to go on to. Raises BackoutError."""
        if what not in self._acts:
            raise Mistakes(f"nothing is done under {what!r}", where="the address")
        if not visitor.may(MAY[what]):
            raise Refused(
                f"{visitor.name or 'whoever only looks'} may {visitor.role}; that needs the role"
                f" {MAY[what]}",
                state="nothing was changed",
                next=f"whoever runs the server: invoke token.add NAME --role {MAY[what]}",
            )
        return self._acts[what](form, visitor)

    def _acknowledge(self, form: Form, visitor: Visitor) -> str:
        target, _, check = form.get("which", "").partition(" ")
        options = AlertAck(target=target, check=check, note=form.get("note", "").strip() or None)
        if not (target and check):
            raise Mistakes("which incident?", where="the form")
        Watching(self.workplace, self.screen, who_of(visitor)).ack(options)
        return "/incidents"

    def _silence(self, form: Form, visitor: Visitor) -> str:
        options = AlertSilence(
            target=form.get("target") or None,
            check=form.get("check", "").strip() or None,
            for_=form.get("for"),
        )
        Watching(self.workplace, self.screen, who_of(visitor)).silence(options)
        return "/incidents"

    def _approve(self, form: Form, visitor: Visitor) -> str:
        """Exactly what was shown: the form brings its digest back."""
        run, step = form.get("run", ""), form.get("step", "")
        journal = self.workplace.journal
        request = Approvals(journal).of(run, step)
        if request is None or request.digest != form.get("digest"):
            raise Refused(
                "that is not what was shown",
                state="nothing was answered",
                next="look at the page again",
            )
        said = form.get("answer")
        if said not in ("yes", "no"):
            raise Mistakes("yes or no?", where="the form")
        reason = form.get("reason", "").strip()
        if said == "no" and not reason:
            raise Mistakes("a no needs its reason", where="the form")
        Answering(journal).answer(request, person_of(visitor), "" if said == "yes" else reason)
        return f"/approvals/{run}" + (f"?step={step}" if step else "")

    def _stop(self, form: Form, visitor: Visitor) -> str:
        journal, telling = self.workplace.journal, Telling(self.workplace.journal)
        row = journal.run(form.get("run", ""))
        if form.get("sure") != "yes":
            raise Refused("not confirmed", state=f"the {row.verb} of {row.target} goes on")
        if not row.open:
            raise Refused(f"run {row.id} has ended", next=f"invoke show {row.id}")
        if gone := Owner(self.workplace, row, telling).gone():
            raise Refused(
                f"nobody drives run {row.id}: {gone}",
                state="it is journaled, and holds the target",
                next=row.going_on,
            )
        now = datetime.now(UTC)
        telling.wish(Wish(secrets.token_hex(8), row.id, STOP, who_of(visitor), now))
        return f"/runs/{row.id}"

    # --- in processes of their own -----------------------------------------------------------

    def _plan(self, form: Form, visitor: Visitor) -> str:
        """Saved, to be shown and then started as it is."""
        target, id = self.workplace.target(form.get("target", "")).name, self.errands.new()
        words = {"target": target, "out": str(self.errands.file(id, "plan"))}
        self.errands.begin("plan", words, person_of(visitor), id)
        return f"/errands/{id}"

    def _start(self, form: Form, visitor: Visitor) -> str:
        """Exactly the plan that was shown, or nothing: `deploy --plan` looks again."""
        planned = self.errands.find(form.get("plan", ""))
        saved = saved_plan.read(self.errands.file(planned.id, "plan"))
        if planned.verb != "plan" or saved.picture.digest != form.get("digest"):
            raise Refused("that is not the plan that was shown", next="look at the page again")
        _confirm(form, saved.words.target)
        words = {"plan": saved.file, "yes": True}
        return f"/errands/{self.errands.begin('deploy', words, person_of(visitor))}"

    def _rollback(self, form: Form, visitor: Visitor) -> str:
        """From the release that was shown, or not at all."""
        target, to = self.workplace.target(form.get("target", "")).name, form.get("to", "")
        shown = form.get("now", "nothing")
        refuse_moved(self.workplace.journal, target, shown)
        _confirm(form, target)
        words = {"target": target, "to": to, "yes": True, "shown": shown}
        return f"/errands/{self.errands.begin('rollback', words, person_of(visitor))}"

    def _go_on(self, verb: str) -> Callable[[Form, Visitor], str]:
        def act(form: Form, visitor: Visitor) -> str:
            row = self.workplace.journal.run(form.get("run", ""))
            if not row.open or row.id != form.get("run"):
                raise Refused(f"run {row.id} has ended", next=f"invoke show {row.id}")
            _confirm(form, row.target)
            words = {"target": row.target, "yes": True, "shown": row.id}
            return f"/errands/{self.errands.begin(verb, words, person_of(visitor))}"

        return act


def _confirm(form: Form, target: str) -> None:
    """Raises Refused unless the target's name was typed."""
    if form.get("typed", "").strip() != target:
        raise Refused(
            f"not confirmed: type {target} to go on",
            state="nothing was changed",
            next="look at the page again",
        )


def who_of(visitor: Visitor) -> str:
    """As it is on record."""
    return f"{visitor.name} (web)"


def person_of(visitor: Visitor) -> Person:
    """Somebody who has shown a token: an account of their own. Whoever has that name elsewhere is
    the same."""
    return Person(visitor.name, (name_of(visitor.name),), f"{visitor.name}@web")
