"""Requests and their answers, in the journal's tables."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from backout.adapters.storage.journal import RunJournal
from backout.adapters.storage.journal_rows import time_text
from backout.adapters.storage.tables import Tables
from backout.model.people import AnswerGiven, Person, Request
from backout.ports import AWAITS_APPROVAL

ASKED = "id, target, step, digest, needed, asker, asked, expires, body"


class Approvals:
    """What was asked of other people, and what they said. All of it is append-only."""

    def __init__(self, store: RunJournal) -> None:
        self._store = store

    def ask(self, request: Request) -> None:
        """Durably, and people are told of it; a request that is there already stays as it is."""
        row = (
            *(request.id, request.target, request.step, request.digest, request.needed),
            *(json.dumps(request.asker.to_data()), request.asker.name),
            *(time_text(request.asked), time_text(request.expires)),
            self._store.text_of(request.body),
        )
        words = (
            "INSERT INTO request (id, target, step, digest, needed, asker, asked_by, asked,"
            " expires, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        )
        what = f"{request.step}: {request.body.get('question', '')}" if request.step else ""
        told = {"what": what, "next": f"invoke approve {request.id}"}
        self._store.tell_of(lambda db: db.execute(words, row).rowcount > 0, AWAITS_APPROVAL, told)

    def answer(self, request: Request, answer: AnswerGiven) -> bool:
        """Durably; False where it changes nothing any more: a run has used it, somebody has said
        no, or that person yes. Raises BackoutError where the database knows that it is the
        asker."""
        row = (
            *(request.id, request.step, request.asker.name, answer.by.name),
            *(json.dumps(answer.by.to_data()), "yes" if answer.yes else "no"),
            *(self._store.text_of(answer.reason), time_text(answer.at)),
        )
        words = (
            "INSERT INTO answer (request, step, asked_by, answered_by, who, answer, reason, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        )

        def write(db: Tables) -> bool:
            user, refused = self._decided(db, request)
            return not (user or refused) and bool(db.execute(words, row).rowcount)

        return self._store.change(write)

    def use(self, request: Request, run: str, at: datetime) -> bool:
        """Durably, for one run and once; False where another run has used it, or somebody has said
        no."""
        words = "INSERT INTO spent (request, step, run, at) VALUES (?, ?, ?, ?)"

        def write(db: Tables) -> bool:
            user, refused = self._decided(db, request)
            if not (user or refused):
                db.execute(words, (request.id, request.step, run, time_text(at)))
                return True
            return user == run

        return self._store.change(write)

    def _decided(self, db: Tables, request: Request) -> tuple[str, bool]:
        """Which run has used it, and whether somebody has said no; within a transaction, and until
        its end nobody else decides."""
        place = (request.id, request.step)
        alone = self._store.alone("SELECT 1 FROM request WHERE id = ? AND step = ?")
        db.execute(alone, place).fetchone()
        used = db.execute("SELECT run FROM spent WHERE request = ? AND step = ?", place).fetchone()
        no = "SELECT 1 FROM answer WHERE request = ? AND step = ? AND answer = 'no'"
        return used[0] if used else "", bool(db.execute(no, place).fetchone())

    def of(self, id: str, step: str = "") -> Request | None:
        """What a run asked for its plan, or for one of its steps, as it is now."""
        return next(iter(self._found("id = ? AND step = ?", (id, step))), None)

    def of_target(self, target: str) -> tuple[Request, ...]:
        """Every request of a target, the newest first."""
        return self._found("target = ?", (target,))

    def named(self, begins: str) -> tuple[Request, ...]:
        """The requests of the runs whose name begins so, the newest first."""
        return self._found("substr(id, 1, ?) = ?", (len(begins), begins))

    def _found(self, where: str, values: tuple[Any, ...]) -> tuple[Request, ...]:
        query = f"SELECT {ASKED} FROM request WHERE {where} ORDER BY asked DESC, id DESC, step"  # noqa: S608 - our own words

        def read(db: Tables) -> tuple[Request, ...]:
            rows = db.execute(query, values).fetchall()
            return tuple(_request(db, *row) for row in rows)

        return self._store.look(read)


def _request(
    db: Tables,
    id: str,
    target: str,
    step: str,
    digest: str,
    needed: int,
    asker: str,
    asked: str,
    expires: str,
    body: str,
) -> Request:
    answers = db.execute(
        "SELECT who, answer, reason, at FROM answer WHERE request = ? AND step = ? ORDER BY at",
        (id, step),
    ).fetchall()
    used = db.execute("SELECT run FROM spent WHERE request = ? AND step = ?", (id, step)).fetchone()
    return Request(
        id=id,
        target=target,
        step=step,
        digest=digest,
        needed=needed,
        asker=Person.of(json.loads(asker)),
        asked=datetime.fromisoformat(asked),
        expires=datetime.fromisoformat(expires),
        body=json.loads(body),
        answers=tuple(
            AnswerGiven(
                Person.of(json.loads(who)),
                answer == "yes",
                str(json.loads(reason)),
                datetime.fromisoformat(at),
            )
            for who, answer, reason, at in answers
        ),
        used_by=used[0] if used else "",
    )
