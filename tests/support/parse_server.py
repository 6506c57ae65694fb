"""Parse Server on PostgreSQL with the incident's two versions of code and seven table states."""

from __future__ import annotations

import http.client
import json
import shutil
import urllib.parse
from pathlib import Path
from typing import Any, Literal, Self

from . import ports
from .bed import Bed
from .postgres import Postgres
from .process import Process
from .tools import SYSTEM_PATH, MissingTool, node_modules
from .wait import eventually

Code = Literal["old", "new"]
TableState = Literal["S0", "S1", "S2", "S3", "S4", "S5", "S6"]
SOURCES = Path(__file__).with_name("parse")
CONCERT = {
    "artist_id": "A",
    "venue_id": "V",
    "concert_date": "2024-01-30T20:00:00Z",
    "notes": "by a test",
}

_PREFIXED = "_p_user varchar NOT NULL, _p_concert varchar NOT NULL"
_COLUMNS: dict[TableState, str] = {
    "S0": '"user" text, concert text',
    "S1": f"""{_PREFIXED}, "user" varchar GENERATED ALWAYS AS (_p_user) STORED,
              concert varchar GENERATED ALWAYS AS (_p_concert) STORED""",
    "S2": f"""{_PREFIXED},
              "user" varchar GENERATED ALWAYS AS (split_part(_p_user, '$', 2)) STORED,
              concert varchar GENERATED ALWAYS AS (split_part(_p_concert, '$', 2)) STORED""",
    "S3": f'{_PREFIXED}, "user" text, concert text',
    "S4": """"user" text NOT NULL, concert text NOT NULL,
             _p_user text GENERATED ALWAYS AS ('_User$' || "user") STORED,
             _p_concert text GENERATED ALWAYS AS ('Concert$' || concert) STORED""",
    "S5": '"user" text NOT NULL, concert text NOT NULL,'
    " _p_user text NOT NULL, _p_concert text NOT NULL",
    "S6": _PREFIXED,
}
_TRIGGER = """
CREATE OR REPLACE FUNCTION both_forms() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
  NEW."user" := COALESCE(NEW."user", split_part(NEW._p_user, '$', 2));
  NEW.concert := COALESCE(NEW.concert, split_part(NEW._p_concert, '$', 2));
  NEW._p_user := '_User$' || NEW."user";
  NEW._p_concert := 'Concert$' || NEW.concert;
  RETURN NEW;
END $body$;
CREATE TRIGGER both_forms BEFORE INSERT OR UPDATE ON "UserConcert"
  FOR EACH ROW EXECUTE FUNCTION both_forms();
"""


def table_sql(state: TableState) -> str:
    """The SQL that makes the UserConcert table anew in one of the seven states."""
    return f"""
BEGIN;
DROP TABLE IF EXISTS "UserConcert" CASCADE;
CREATE TABLE "UserConcert" (
  "objectId" text PRIMARY KEY, "createdAt" timestamptz, "updatedAt" timestamptz,
  notes text, _rperm text[], _wperm text[], {_COLUMNS[state]});
{_TRIGGER if state == "S5" else ""}
COMMIT;
"""


class ParseServer(Bed):
    """One process that runs `code` on a database; several may share the database."""

    def __init__(
        self, directory: Path, postgres: Postgres, database: str, code: Code = "old"
    ) -> None:
        self.directory = directory
        self.postgres = postgres
        self.database = database
        self.port = ports.free_port()
        self.url = f"http://127.0.0.1:{self.port}/parse"
        self.deploy(code)
        self._process: Process | None = None

    def deploy(self, code: Code) -> None:
        """Put a version of the code in place; `restart` loads it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for name in ("index.js", "attempts.js"):
            shutil.copy(SOURCES / name, self.directory / name)
        shutil.copy(SOURCES / f"{code}.js", self.directory / "main.js")

    def launch(self) -> None:
        """Start the process without waiting for it."""
        node = shutil.which("node")
        if node is None:
            raise MissingTool("node")
        env = {
            "PATH": SYSTEM_PATH,
            "HOME": str(self.directory),
            "NODE_PATH": str(node_modules()),
            "PORT": str(self.port),
            "DATABASE_URL": self.postgres.dsn(self.database).replace("postgresql:", "postgres:"),
            "CLOUD": str(self.directory / "main.js"),
        }
        argv = [node, str(self.directory / "index.js")]
        self._process = Process(argv, log=self.directory / "log", env=env, cwd=self.directory)

    def wait_up(self) -> None:
        """Wait until it answers."""
        eventually(self._answers, every=0.05, saying="Parse Server")

    def start(self) -> Self:
        """Start it; it answers when this returns."""
        self.launch()
        self.wait_up()
        return self

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def restart(self) -> None:
        """End it and start it again."""
        self.stop()
        self.start()

    def set_table(self, state: TableState) -> None:
        """Make the UserConcert table anew, in another state and empty."""
        self.postgres.sql(table_sql(state), self.database)

    def set_attempts(self, limit: int) -> None:
        """How often the cloud SDK tries a failing request (5 by default)."""
        status, _ = self.call("POST", "/functions/setAttempts", {"limit": limit}, master=True)
        assert status == 200

    def create_schema(self) -> None:
        """Declare the two classes to Parse."""
        concert = {name: {"type": "String"} for name in ("artist_id", "venue_id")}
        self._declare("Concert", {**concert, "concert_date": {"type": "Date"}})
        pointers = {
            name: {"type": "Pointer", "targetClass": target, "required": True}
            for name, target in (("user", "_User"), ("concert", "Concert"))
        }
        self._declare("UserConcert", {**pointers, "notes": {"type": "String"}})

    def create_user(self, name: str) -> tuple[str, str]:
        """Sign a user up; return the user's id and session token."""
        status, body = self.call("POST", "/users", {"username": name, "password": "p"})
        assert status == 201, body
        return str(body["objectId"]), str(body["sessionToken"])

    def add_concert(self, session: str | None) -> tuple[int, dict[str, Any]]:
        """Call the cloud function at the heart of the incident."""
        return self.call("POST", "/functions/addConcert", CONCERT, session=session)

    def count(self, class_name: str, where: object = None, session: str | None = None) -> int:
        """How many objects a query finds (without a condition Parse would only estimate)."""
        condition = where or {"objectId": {"$exists": True}}
        query = {"limit": "0", "count": "1", "where": json.dumps(condition)}
        path = f"/classes/{class_name}?{urllib.parse.urlencode(query)}"
        status, body = self.call("GET", path, session=session, master=session is None)
        assert status == 200, body
        return int(body["count"])

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        session: str | None = None,
        master: bool = False,
    ) -> tuple[int, dict[str, Any]]:
        """One REST request: status and decoded body."""
        headers = {"X-Parse-Application-Id": "gigz", "Content-Type": "application/json"}
        headers |= {"X-Parse-Master-Key": "master"} if master else {"X-Parse-REST-API-Key": "rest"}
        headers |= {"X-Parse-Session-Token": session} if session else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/parse{path}", content, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def _declare(self, name: str, fields: object) -> None:
        document = {"className": name, "fields": fields}
        status, body = self.call("POST", f"/schemas/{name}", document, master=True)
        assert status == 200, body

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.running, self._process.output()
        return self.call("GET", "/health")[0] == 200

    def end(self) -> None:
        super().end()
        ports.release(self.port)
