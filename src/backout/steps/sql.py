"""`sql`: statements in one PostgreSQL transaction."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import model_validator

from backout.errors import Refused
from backout.model import Options, Result, State, Undo
from backout.ports import Work
from backout.steps.base import Kind

if TYPE_CHECKING:
    import psycopg

SHOWN = 1000
"""How many rows of the last statement are kept as output."""
PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "application_name": "backout",
}
"""A dead link is noticed; the connection string may say otherwise."""


class SqlOptions(Options):
    """Where, and the statements: here, or in a file on this machine."""

    short: ClassVar[str] = "script"
    told_fields: ClassVar[tuple[str, ...]] = ("file",)
    database: str
    script: str = ""
    file: str = ""

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

    def describe(self, work: Work) -> str:
        return str(work.options.script or f"psql -1 -f {work.options.file}")

    def before(self, work: Work) -> Undo:
        driver = _driver()
        _text(work)
        try:
            _connect(work, work.options.database).close()
        except driver.Error as error:
            raise Refused(f"the database cannot be reached: {_words(error)}") from error
        undo = super().before(work)
        text, data = _included(undo.text), {"database": work.options.database}
        named = undo.text.removeprefix("\\i ") if text != undo.text else "its undo"
        summary = f"SQL: run {named} in one transaction" if text else ""
        return Undo(text, data, undo.irreversible, summary)

    def act(self, work: Work) -> Result:
        return _transact(work, work.options.database, _text(work))

    def recall(self, work: Work, undo: Undo) -> Result | None:  # noqa: ARG002 - the seam's form
        """The server keeps no note of a transaction; the step's check can tell."""
        return Result(State.UNKNOWN, reason="whether the transaction was committed is not known")

    def done(self, work: Work) -> bool | None:
        if not work.step.check:
            return None
        return _answer(work, work.step.check)

    def undo(self, work: Work, undo: Undo) -> Result:
        if not undo.text:
            return Result(State.DONE)
        return _transact(work, str(undo.data["database"]), undo.text)


def _driver() -> Any:
    """The PostgreSQL driver, which is an extra. Raises Refused when it is not installed."""
    try:
        import psycopg
    except ImportError as error:
        raise Refused(
            "PostgreSQL's driver is not installed", next="pip install 'backout[postgres]'"
        ) from error
    return psycopg


def _text(work: Work) -> str:
    """Raises Refused."""
    if work.options.script:
        return str(work.options.script)
    try:
        return Path(work.options.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{work.options.file} cannot be read: {error}") from error


def _included(text: str) -> str:
    r"""A text that is `\i FILE`, as in psql, is that file's: the journal keeps all of the way
    back, whatever becomes of the file. Raises Refused."""
    if not text.startswith("\\i "):
        return text
    path = Path(text.removeprefix("\\i ").strip())
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"the undo {path} cannot be read: {error}") from error


def _connect(work: Work, database: str) -> psycopg.Connection[Any]:
    """Raises Refused for a missing secret or driver, and the driver's errors."""
    from psycopg.conninfo import conninfo_to_dict

    given: Mapping[str, Any] = conninfo_to_dict(work.vault.reveal(database))
    connection: psycopg.Connection[Any] = _driver().connect(**{**PATIENCE, **given})
    return connection


def _transact(work: Work, database: str, text: str) -> Result:
    driver = _driver()
    try:
        connection = _connect(work, database)
    except driver.Error as error:
        return Result(State.FAILED, reason=f"the database cannot be reached: {_words(error)}")
    with closing(connection):
        try:
            output = _execute(work, connection, text)
        except driver.Error as error:
            return Result(State.FAILED, reason=_words(error) + _partly(connection))
        try:
            connection.commit()
        except driver.Error as error:
            return Result(_after_commit(error), reason=f"at the commit: {_words(error)}")
    return Result(State.DONE, stdout=output)


def _execute(work: Work, connection: psycopg.Connection[Any], text: str) -> str:
    """Run every statement; give back the rows of the last, as psql -At would."""
    connection.read_only = work.step.readonly
    limit = f"SET LOCAL statement_timeout = {int(work.step.timeout * 1000)}"
    with connection.cursor() as cursor:
        cursor.execute(limit.encode())
        cursor.execute(work.vault.reveal(text).encode())
        while cursor.nextset():
            pass
        rows = cursor.fetchmany(SHOWN) if cursor.description else []
    return "".join("|".join("" if v is None else str(v) for v in row) + "\n" for row in rows)


def _answer(work: Work, text: str) -> bool | None:
    """What a check's one row says; anything else cannot tell."""
    driver = _driver()
    try:
        with closing(_connect(work, work.options.database)) as connection:
            connection.read_only = True
            rows = connection.execute(work.vault.reveal(text).encode()).fetchmany(2)
    except driver.Error:
        return None
    if len(rows) != 1 or not isinstance(rows[0][0], bool):
        return None
    return rows[0][0]


def _partly(connection: psycopg.Connection[Any]) -> str:
    """A script that commits by itself is no longer one transaction."""
    from psycopg.pq import TransactionStatus

    if connection.info.transaction_status is not TransactionStatus.IDLE:
        return ""
    return "; what came before the script's own COMMIT stays"


def _after_commit(error: psycopg.Error) -> State:
    """The server said no, or its answer was lost."""
    refused = error.sqlstate is not None and error.sqlstate[:2] not in ("08", "57")
    return State.FAILED if refused else State.UNKNOWN


def _words(error: psycopg.Error) -> str:
    """SQLSTATE, message and detail of the server; or the driver's own words."""
    told = error.diag
    said = [part for part in (told.message_primary, told.message_detail) if part]
    text = ": ".join(said) or " ".join(str(error).split())
    return f"{error.sqlstate} {text}" if error.sqlstate else text
