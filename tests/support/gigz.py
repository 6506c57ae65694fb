"""The example application `examples/gigz-api`, deployed for real: a working copy and its origin, a
database in the state of the incident, and a place where it runs."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from . import ports
from .postgres import Postgres
from .project import Project, Said
from .tools import SYSTEM_PATH, MissingTool, node_modules

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "gigz-api"
RUNBOOKS = ("deploy", "userconcert-fix", "userconcert-note", "userconcert-contract")
TARGET = "story"
Code = Literal["old", "new"]
KEYS = {
    "APP_ID": "app-id-of-the-bed",
    "MASTER_KEY": "master-key-of-the-bed",
    "REST_API_KEY": "rest-key",
}


class Gigz:
    """The application on one database. `code` lies where a host has it, `host` is what the
    inventory calls that; `project` is where an operator types."""

    def __init__(
        self,
        directory: Path,
        postgres: Postgres,
        address: str = "127.0.0.1",
        port: int = 0,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.postgres = postgres
        self.database = f"gigz_{os.urandom(4).hex()}"
        self.address = address
        self.port = port or ports.free_port()
        self.url = f"http://{address}:{self.port}/parse"
        self.code = directory / "api"
        self.host = "web1"
        directory.mkdir(parents=True, exist_ok=True)
        postgres.create_database(self.database)
        (directory / "node_modules").symlink_to(node_modules())
        lines = (f"{name}={value}\n" for name, value in self.environment.items())
        (directory / "gigz-api.env").write_text("".join(lines))
        self._make_copy()
        self.session = self._provision()
        secrets = {
            "GIGZ_APP_ID": KEYS["APP_ID"],
            "GIGZ_REST_API_KEY": KEYS["REST_API_KEY"],
            "GIGZ_SESSION": self.session,
            "GIGZ_DATABASE_URL": self.environment["DATABASE_URL"],
        }
        self.project = Project(self.copy, {**(env or {}), **secrets})

    @property
    def copy(self) -> Path:
        return self.directory / "work"

    @property
    def environment(self) -> dict[str, str]:
        """What the service finds in its environment."""
        return {
            "DATABASE_URL": self.postgres.dsn(self.database),
            "HOST": self.address,
            "PORT": str(self.port),
            **KEYS,
        }

    def inventory(self, extends: str, **words: Any) -> None:
        """Where it runs: an inventory of the example, with this bed's own words."""
        source = {"directory": str(self.code)}
        common = {"extends": extends, "source": source, "rollout": {"soak": "500ms"}}
        self.project.inventory(TARGET, {**common, "vars": {"api": self.url}, **words})

    # --- the operator --------------------------------------------------------------------

    def say(self, *words: str) -> Said:
        """Type `backout WORDS --target bed`."""
        return self.project.say(*words, "--target", TARGET)

    def deploy_the_old_code(self) -> None:
        """Release 1, on the table as it is; what the incident makes red is known."""
        red = (word for name in ("schema", "saves-directly") for word in ("--accept-red", name))
        said = self.say("deploy", *red)
        assert said.code == 0, said.err + said.out

    def write_the_fix(self) -> None:
        """The new code in the working copy, not yet committed."""
        shutil.copytree(EXAMPLE / "fix", self.copy, dirs_exist_ok=True)

    def run(self, runbook: str) -> Said:
        return self.say("run", "--runbook", runbook, "--json")

    def rollback(self) -> Said:
        return self.say("rollback", "--json")

    def git(self, *words: str, where: Path | None = None) -> str:
        """Git in the working copy, or elsewhere."""
        identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.invalid")
        done = subprocess.run(
            ["git", *identity, *words],
            cwd=where or self.copy,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    # --- witnesses -----------------------------------------------------------------------

    def sql(self, text: str) -> list[list[str]]:
        return self.postgres.sql(text, self.database)

    def set_table(self, state: str) -> None:
        """Make UserConcert anew, empty."""
        self.sql((EXAMPLE / "migrations" / "states" / f"{state}.sql").read_text())

    @property
    def table(self) -> str:
        """The state that the table is in."""
        asked = f"BEGIN;\n{(EXAMPLE / 'migrations' / 'state.sql').read_text()}\nCOMMIT;"
        return self.sql(asked)[-1][0]

    @property
    def rows(self) -> dict[str, int]:
        """How many rows there are, by class."""
        counts = (
            f"""SELECT '{name}', count(*) FROM "{name}" """ for name in ("Concert", "UserConcert")
        )
        return {name: int(count) for name, count in self.sql(" UNION ALL ".join(counts))}

    @property
    def deployed(self) -> Code:
        """Which code lies where the service runs from."""
        text = (self.code / "cloud" / "concerts.js").read_text()
        return "old" if "INSERT INTO" in text else "new"

    def call(
        self, method: str, path: str, body: object = None, *, session: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """One request, as the user of the smoke tests unless told otherwise."""
        headers = {
            "X-Parse-Application-Id": KEYS["APP_ID"],
            "X-Parse-REST-API-Key": KEYS["REST_API_KEY"],
            "X-Parse-Session-Token": session or self.session,
            "Content-Type": "application/json",
        }
        place = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=30)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, f"{place.path}{path}", content, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def adds_and_reads_back(self, **changed: object) -> bool:
        """Add a concert, see whether it is the user's, and take it away again."""
        asked = {
            "artist_id": "Backout witness",
            "venue_id": "W",
            "concert_date": "2024-01-30T20:00:00Z",
            "notes": "Backout witness",
            **changed,
        }
        status, answer = self.call("POST", "/functions/addConcert", asked)
        try:
            return status == 200 and self._reads_back(answer["result"]["objectId"])
        finally:
            self.call("POST", "/functions/forgetSmokeTest", {"marker": "Backout witness"})

    def _reads_back(self, link: str) -> bool:
        me = self.call("GET", "/users/me")[1]["objectId"]
        status, row = self.call("GET", f"/classes/UserConcert/{link}?include=user,concert")
        user = {"__type": "Pointer", "className": "_User", "objectId": me}
        query = {"_method": "GET", "where": {"objectId": link, "user": user}}
        found = self.call("POST", "/classes/UserConcert", query)[1]["results"]
        whole = row.get("user", {}).get("objectId") == me and "venue_id" in row.get("concert", {})
        return status == 200 and whole and len(found) == 1

    def spilled(self, text: str) -> list[Path]:
        """The files of the operator's state that hold this text."""
        files = (path for path in self.project.state.rglob("*") if path.is_file())
        return [path for path in files if text.encode() in path.read_bytes()]

    # --- making it -----------------------------------------------------------------------

    def _make_copy(self) -> None:
        shutil.copytree(EXAMPLE, self.copy, ignore=shutil.ignore_patterns("fix", "node_modules"))
        (self.copy / "runbooks").mkdir()
        for name in RUNBOOKS:
            shutil.copy(ROOT / "runbooks" / f"{name}.yaml", self.copy / "runbooks")
        Project(self.copy)
        origin = self.directory / "origin.git"
        self.git("init", "-q", "--bare", "-b", "main", str(origin), where=self.directory)
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "Tester")
        self.git("config", "user.email", "tester@example.invalid")
        self.git("remote", "add", "origin", str(origin))
        self.git("add", "--all")
        self.git("commit", "-q", "-m", "gigz-api")
        self.git("push", "-q", "-u", "origin", "main")

    def _provision(self) -> str:
        node = shutil.which("node")
        if node is None:
            raise MissingTool("node")
        done = subprocess.run(
            [node, "provision.js"],
            cwd=self.copy,
            env={"PATH": SYSTEM_PATH, "HOME": str(self.directory), **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.split()[-1]
