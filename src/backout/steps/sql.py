"""`sql`: statements in one PostgreSQL transaction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import model_validator

from backout.errors import Refused, Unreachable
from backout.model import Options, Result, Slips, State, Undo
from backout.ports import StepContext
from backout.postgres.driver import driver, encoding, ended_after, words
from backout.steps.base import Kind
from backout.steps.sql_session import await_end, claim, connect, step_name
from backout.steps.sql_text import checked, included, of_file

if TYPE_CHECKING:
    import psycopg

SHOWN = 1000
"""How many rows of the last statement are kept as output."""
MARGIN = 2.0
"""By how many seconds the server's own timeout, which says more, comes before ours."""

_COMMITS = re.compile(r"\b(commit|end|prepare|call|do)\b", re.IGNORECASE)
"""What may end a transaction from within a script."""
NAME = "backout"
"""The session of whatever only reads."""


class SqlOptions(Options):
    """Where, and the statements: here, or in a file on this machine."""

    short: ClassVar[str] = "script"
    told_fields: ClassVar[tuple[str, ...]] = ("file",)
    database: str
    script: str = ""
    file: str = ""

    def needs(self, connection: str) -> str:  # noqa: ARG002 - it always connects from here
        return "postgres"

    def slips(self) -> Slips:
        """Where no template says more: what the server could not take, whatever the step is."""
        if "{{" in self.script:
            return
        try:
            checked(self.script, "script", reads=True)
        except Refused as error:
            yield "script", f"{error.what}; {error.next}"

    @model_validator(mode="after")
    def _one(self) -> SqlOptions:
        if bool(self.script) == bool(self.file):
            raise ValueError("write one of the two: script or file")
        return self


class Sql(Kind):
    """Connects from this machine. Undo and check are SQL as well; a check gives one row, whose
    first column says whether it is done."""

    Options: ClassVar[type[Options]] = SqlOptions
    shell: ClassVar[bool] = False
    acts_here: ClassVar[bool] = True

    def describe(self, work: StepContext) -> str:
        return str(work.options.script or f"psql -1 -f {work.options.file}")

    def ready(self, work: StepContext, *, made: bool) -> None:
        """Raises Refused without the driver, and, unless the run may bring it, the database."""
        driver()
        if not made:
            self.before(work)

    def reads(self, work: StepContext) -> Sequence[str]:
        return tuple(filter(None, (work.options.file, included(work.step.undo or ""))))

    def before(self, work: StepContext) -> Undo:
        psycopg = driver()
        _text(work)
        try:
            connect(work, work.options.database, NAME).close()
        except psycopg.Error as error:
            raise Refused(f"the database cannot be reached: {words(error)}") from error
        undo = super().before(work)
        text = _way_back(undo.text)
        data = {"database": work.options.database, "session": step_name(work.key)}
        summary = f"SQL: run {included(undo.text) or 'its undo'} in one transaction" if text else ""
        return Undo(text, data, undo.irreversible, summary)

    def act(self, work: StepContext) -> Result:
        return _transact(work, work.options.database, _text(work), step_name(work.key))

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        """The server keeps no note of a transaction; when it has ended, the step's check can
        tell. Raises Unreachable while it may still be committed."""
        await_end(work, str(undo.data["database"]), _session(work, undo))
        return Result(State.UNKNOWN, reason="whether the transaction was committed is not known")

    def done(self, work: StepContext) -> bool | None:
        if not work.step.check:
            return None
        return _answer(work, work.step.check)

    def undo(self, work: StepContext, undo: Undo) -> Result:
        """Also without a text it waits for the end of what it would undo."""
        database, name = str(undo.data["database"]), _session(work, undo)
        if not undo.text:
            await_end(work, database, name)
            return Result(State.DONE)
        return _transact(work, database, undo.text, name)


def _session(work: StepContext, undo: Undo) -> str:
    """The same for a step and its undo, so that neither runs beside the other."""
    return str(undo.data.get("session") or step_name(work.key))


def _text(work: StepContext) -> str:
    """Raises Refused."""
    reads = work.step.readonly
    if work.options.script:
        return checked(str(work.options.script), "script", reads=reads)
    return of_file(work.options.file, reads=reads)


def _way_back(text: str) -> str:
    """A text that names a file is that file's: the journal keeps all of the way back, whatever
    becomes of the file. Raises Refused."""
    return of_file(named) if (named := included(text)) else checked(text, "undo")


def _transact(work: StepContext, database: str, text: str, name: str) -> Result:
    psycopg = driver()
    try:
        connection = connect(work, database, name)
    except psycopg.Error as error:
        return Result(State.FAILED, reason=f"the database cannot be reached: {words(error)}")
    with closing(connection):
        connection.read_only = work.step.readonly
        try:
            claim(work, connection, name)
        except psycopg.Error as error:
            return Result(State.FAILED, reason=words(error))
        with ended_after(connection, work.step.timeout + MARGIN) as late:
            result = _committed(work, connection, text)
    return _timed_out(work, database, name, result) if late.is_set() else result


def _committed(work: StepContext, connection: psycopg.Connection[Any], text: str) -> Result:
    """Run the script in the transaction that is open, and commit it."""
    psycopg = driver()
    try:
        output = _execute(work, connection, text)
    except psycopg.Error as error:
        state = State.UNKNOWN if _COMMITS.search(text) and _lost(error) else State.FAILED
        return Result(state, reason=words(error) + _limit(work, error) + _partly(connection))
    try:
        connection.commit()
    except psycopg.Error as error:
        state = State.UNKNOWN if _lost(error) else State.FAILED
        return Result(state, reason=f"at the commit: {words(error)}")
    return Result(State.DONE, stdout=output)


def _timed_out(work: StepContext, database: str, name: str, result: Result) -> Result:
    """Its session is ended, as far as that can be done now."""
    if result.ok:
        return result
    limit = f"timed out after {work.step.timeout:g} s"
    try:
        await_end(work, database, name, patience=0.0)
    except Unreachable as error:
        return Result(State.UNKNOWN, reason=f"{limit}; {error.what}")
    return Result(result.state, reason=f"{limit}; its session was ended")


def _execute(work: StepContext, connection: psycopg.Connection[Any], text: str) -> str:
    """Run every statement; give back the rows of the last, as psql -At would."""
    limit = f"SET LOCAL statement_timeout = {int(work.step.timeout * 1000)}"
    with connection.cursor() as cursor:
        cursor.execute(f"{limit}; {encoding(connection)}".encode())
        cursor.execute(work.vault.reveal(text).encode())
        while cursor.nextset():
            pass
        rows = cursor.fetchmany(SHOWN) if cursor.description else []
    return "".join("|".join("" if v is None else str(v) for v in row) + "\n" for row in rows)


def _answer(work: StepContext, text: str) -> bool | None:
    """What a check's one row says; anything else cannot tell."""
    psycopg = driver()
    try:
        with (
            closing(connect(work, work.options.database, NAME)) as connection,
            ended_after(connection, work.step.timeout),
        ):
            connection.read_only = True
            connection.execute(encoding(connection).encode())
            rows = connection.execute(work.vault.reveal(text).encode()).fetchmany(2)
    except (psycopg.Error, Refused):
        return None
    if len(rows) != 1 or not isinstance(rows[0][0], bool):
        return None
    return rows[0][0]


def _limit(work: StepContext, error: psycopg.Error) -> str:
    return f"; its timeout is {work.step.timeout:g} s" if error.sqlstate == "57014" else ""


def _partly(connection: psycopg.Connection[Any]) -> str:
    """A script that commits by itself is no longer one transaction."""
    from psycopg.pq import TransactionStatus

    if connection.info.transaction_status is not TransactionStatus.IDLE:
        return ""
    return "; what came before the script's own COMMIT stays"


def _lost(error: psycopg.Error) -> bool:
    """Whether the server's answer was lost; else it said no."""
    return error.sqlstate is None or error.sqlstate[:2] in ("08", "57")
