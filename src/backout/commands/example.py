"""The example `gigz-api`, as a story: a note that does not cure, and the runbook that does.

PostgreSQL, Parse Server and PM2 are real, and private to a directory of the story's own. The two
versions of the code, the states of the table and the inventories are in `examples/gigz-api`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from backout.commands import typed
from backout.commands.main import do, text_of
from backout.commands.options import Deploy, ExampleGigz, History, Options, Rollback, Run
from backout.errors import Refused
from backout.ports import Screen
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.objects import Played
from backout.starter import sample

HERE = Path(__file__).parents[3]
GIGZ = HERE / "examples" / "gigz-api"
TARGET = "story"
PM2 = "pm2@7"
KEYS = {"APP_ID": "gigz-story", "MASTER_KEY": "master-key-story", "REST_API_KEY": "rest-key-story"}
KNOWN_RED = ("schema", "saves-directly")

_ACTS: tuple[tuple[str, Options, int], ...] = (
    (
        "The old code goes live, with its raw INSERT; that Parse itself cannot write the table"
        " (two checks are red) is known, and accepted",
        Deploy(target=TARGET, accept_red=KNOWN_RED, yes=True),
        0,
    ),
    (
        "The note to the letter: commit the new code, push, restart, test",
        Run(target=TARGET, runbook="userconcert-note", yes=True),
        4,
    ),
    (
        "The fix: the same, and the table is healed on the way",
        Run(target=TARGET, runbook="userconcert-fix", yes=True),
        0,
    ),
    (
        "And back: the old code, and the table as it was",
        Rollback(target=TARGET, yes=True),
        0,
    ),
    ("What happened", History(target=TARGET), 0),
)
_AFTERWARDS = """
All of it is in {directory}; remove it when you have seen enough.
The runbooks: runbooks/userconcert-*.yaml. What was wrong, and why: docs/userconcert-fix.md.
next:  cd into your own repository and type: backout init"""


class Example:
    """One story for somebody who wants to see the real thing."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def gigz(self, _: ExampleGigz) -> Answer:
        """Deploy, follow the note, fix, roll back. Raises Refused when something is missing."""
        if not GIGZ.is_dir():
            raise Refused("the example is part of Backout's repository", next="git clone it")
        packages = self._packages()
        directory = Path(tempfile.mkdtemp(prefix="backout-gigz-", dir="/tmp"))
        directory.chmod(0o755)
        self.screen.print(f"PostgreSQL, Parse Server and PM2 start in {directory} …")
        with _database(directory / "postgres") as database:
            stage = _Stage(directory, packages, database)
            try:
                codes = self._play(stage)
            finally:
                stage.end()
        self.screen.print(typed.spell(_AFTERWARDS.format(directory=directory)))
        told = codes == [code for *_, code in _ACTS]
        return Answer("gigz", Played(str(directory), tuple(codes)), 0 if told else 1)

    def _packages(self) -> Path:
        """The npm packages, installed once; BACKOUT_EXAMPLE_MODULES names others."""
        given = os.environ.get("BACKOUT_EXAMPLE_MODULES")
        if given:
            return Path(given)
        cache = (
            Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backout" / "gigz"
        )
        if not (cache / "node_modules" / ".bin" / "pm2").exists():
            self.screen.print(f"npm installs Parse Server and PM2 into {cache} …")
            cache.mkdir(parents=True, exist_ok=True)
            shutil.copy(GIGZ / "package.json", cache)
            quiet = ("--no-audit", "--no-fund", "--no-save")
            _run([_program("npm"), "install", *quiet, ".", PM2], cache)
        return cache / "node_modules"

    def _play(self, stage: _Stage) -> list[int]:
        os.environ.update(stage.secrets)
        os.chdir(stage.copy)
        place = Workplace(stage.copy)
        place.state = stage.copy / ".backout"
        try:
            return [self._act(place, stage, *act) for act in _ACTS]
        finally:
            place.close()

    def _act(
        self, place: Workplace, stage: _Stage, title: str, options: Options, _code: int
    ) -> int:
        self.screen.print(f"\n== {title}\n")
        if isinstance(options, Run):
            stage.write_the_new_code()
        answer = do(options, place, self.screen)
        self.screen.print(place.redact(text_of(answer)))
        return answer.exit_code


class _Stage:
    """A working copy with its origin, and the place that it is deployed to."""

    def __init__(self, directory: Path, packages: Path, database: str) -> None:
        self.directory = directory
        self.copy = directory / "work"
        self.pm2 = {
            "PM2_HOME": str(directory / "pm2"),
            "PATH": f"{packages / '.bin'}:{os.environ['PATH']}",
        }
        port = sample.free_port()
        environment = {"DATABASE_URL": database, "PORT": str(port), **KEYS}
        (directory / "node_modules").symlink_to(packages)
        lines = (f"{name}={value}\n" for name, value in environment.items())
        (directory / "gigz-api.env").write_text("".join(lines))
        self._make_copy(port)
        provisioned = _run([_program("node"), "provision.js"], self.copy, environment)
        table = (GIGZ / "migrations" / "states" / "S2.sql").read_text()
        _run([_program("psql"), "-q", "-X", "-c", table, database], directory)
        self.secrets = {
            "GIGZ_APP_ID": KEYS["APP_ID"],
            "GIGZ_REST_API_KEY": KEYS["REST_API_KEY"],
            "GIGZ_SESSION": provisioned.split()[-1],
            "GIGZ_DATABASE_URL": database,
        }

    def write_the_new_code(self) -> None:
        shutil.copytree(GIGZ / "fix", self.copy, dirs_exist_ok=True)

    def end(self) -> None:
        """Stop the application, and PM2 with it."""
        _run(["pm2", "kill"], self.directory, self.pm2, check=False)

    def _make_copy(self, port: int) -> None:
        shutil.copytree(GIGZ, self.copy, ignore=shutil.ignore_patterns("fix", "node_modules"))
        shutil.copytree(HERE / "runbooks", self.copy / "runbooks", dirs_exist_ok=True)
        (self.copy / "inventories" / f"{TARGET}.yaml").write_text(_inventory(self, port))
        origin = str(self.directory / "origin.git")
        _run(["git", "init", "-q", "--bare", "-b", "main", origin], self.directory)
        for words in (
            ("init", "-q", "-b", "main"),
            ("config", "user.name", "Backout example"),
            ("config", "user.email", "example@localhost"),
            ("remote", "add", "origin", origin),
            ("add", "--all"),
            ("commit", "-q", "-m", "gigz-api"),
            ("push", "-q", "-u", "origin", "main"),
        ):
            _run(["git", *words], self.copy)


def _inventory(stage: _Stage, port: int) -> str:
    return f"""\
# This machine, under a PM2 of the story's own.
extends: pm2
hosts: {{web1: {{connection: local, address: ""}}}}
service:
  directory: {stage.directory}/api
  home: {stage.pm2["PM2_HOME"]}
  path: {stage.pm2["PATH"]}
  port: {port}
source: {{directory: {stage.directory}/api}}
rollout: {{soak: 1s}}
vars: {{api: "http://127.0.0.1:{port}/parse"}}
"""


@contextmanager
def _database(directory: Path) -> Iterator[str]:
    """The URL of a database in a private PostgreSQL, which refuses to run as root."""
    root = os.geteuid() == 0
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if root else []
    directory.mkdir()
    if root:
        shutil.chown(directory, "postgres", "postgres")
    data, port = directory / "data", sample.free_port()
    options = ["-A", "trust", "-N", "-U", "postgres", "--encoding=UTF8", "--locale=C.UTF-8"]
    _run([*user, _server("initdb"), *options, "-D", str(data)], directory)
    settings = (
        "listen_addresses=127.0.0.1",
        f"port={port}",
        f"unix_socket_directories={directory}",
    )
    words = [word for setting in settings for word in ("-c", setting)]
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            [*user, _server("postgres"), "-D", str(data), *words], stdout=log, stderr=log
        )
        try:
            _wait_for(url, server)
            yield url
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    import psycopg

    limit = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > limit:
                raise Refused(f"PostgreSQL did not start: {error}") from error
            time.sleep(0.1)


def _server(name: str) -> str:
    """A program of PostgreSQL's server, which is often not on PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else _program(name)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Refused(
            f"{name} is missing: the story needs git, Node.js with npm, and PostgreSQL",
            next="for example: apt-get install git nodejs npm postgresql",
        )
    return found


def _run(
    argv: Sequence[str], where: Path, env: Mapping[str, str] | None = None, *, check: bool = True
) -> str:
    """What a program printed. Raises Refused in its own words when it fails."""
    done = subprocess.run(
        list(argv),
        cwd=where,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip()[-500:]
        raise Refused(f"{' '.join(argv[:2])} failed: {said}")
    return done.stdout
