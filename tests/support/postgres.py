"""A private PostgreSQL server on a loopback port."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from psycopg import pq

from . import ports
from .bed import Bed
from .process import Process
from .tools import SYSTEM_PATH, postgres_program, program
from .wait import eventually

_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB")


_WELL = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.EMPTY_QUERY)


class Postgres(Bed):
    """The server and its databases; user `postgres` needs no password."""

    def __init__(
        self,
        directory: Path,
        settings: tuple[str, ...] = _SETTINGS,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """As a test wants it, quick and forgetful; or with other `settings`."""
        self.directory = directory
        self._settings = settings
        self._environment = dict(environment or {})
        self.port = ports.free_port()
        self._process: Process | None = None

    def start(self) -> Self:
        """Make the cluster when there is none yet, and start the server."""
        data = self.directory / "data"
        if not data.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            self._give_away(self.directory)
            initdb = [postgres_program("initdb"), "-A", "trust", "-N", "-U", "postgres"]
            options = ["--locale=C.UTF-8", "--encoding=UTF8", "-D", str(data)]
            self._run_as_server([*initdb, *options])
        settings = [
            *self._settings,
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            f"unix_socket_directories={self.directory}",
        ]
        more = [f"{name}={value}" for name, value in self._environment.items()]
        argv = [*self._prefix(), program("env"), *more, postgres_program("postgres")]
        argv += ["-D", str(data)]
        argv += [part for setting in settings for part in ("-c", setting)]
        env = {"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8"}
        self._process = Process(argv, log=self.directory / "log", env=env, cwd=self.directory)
        eventually(self._accepts, saying="PostgreSQL")
        return self

    def standby(self, directory: Path) -> Postgres:
        """A server that follows this one, which runs, and can be read: not started yet."""
        directory.mkdir(parents=True)
        self._give_away(directory)
        copy = [postgres_program("pg_basebackup"), "-d", self.dsn(), "-D", str(directory / "data")]
        self._run_as_server([*copy, "--write-recovery-conf", "--checkpoint=fast"])
        return Postgres(directory, self._settings)

    def stop(self) -> None:
        """End the server, sessions or not."""
        if self._process is not None:
            if self._process.running:
                self._process.signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(5)
            self._process.kill()
            self._process = None

    def dsn(self, database: str = "postgres") -> str:
        """The URL of a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        self.sql(f'CREATE DATABASE "{name}"')
        return self.dsn(name)

    def sql(self, text: str, database: str = "postgres") -> list[list[str]]:
        """Run SQL, in one transaction unless it says otherwise; return the rows as text. An SQL
        error fails the test."""
        link = pq.PGconn.connect(self.dsn(database).encode())
        try:
            assert link.status == pq.ConnStatus.OK, link.error_message.decode()
            link.send_query(text.encode())
            answers = list(iter(link.get_result, None))
            assert all(answer.status in _WELL for answer in answers), link.error_message.decode()
            return [row for answer in answers for row in _rows(answer)]
        finally:
            link.finish()

    def psql(self, text: str, database: str = "postgres") -> subprocess.CompletedProcess[str]:
        """Run SQL with psql, errors being data (with their SQLSTATE)."""
        argv = [postgres_program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        return subprocess.run(
            [*argv, "-v", "VERBOSITY=verbose", self.dsn(database)],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    def errors(self, words: str) -> int:
        """How many errors with these words the server has logged."""
        lines = (self.directory / "log").read_text(errors="replace").splitlines()
        return sum("ERROR:" in line and words in line for line in lines)

    def _accepts(self) -> bool:
        assert self._process is not None
        assert self._process.running, self._process.output()
        link = pq.PGconn.connect(self.dsn().encode())
        accepts = link.status == pq.ConnStatus.OK
        link.finish()
        return accepts

    def _run_as_server(self, argv: list[str]) -> None:
        done = subprocess.run(
            [*self._prefix(), *argv],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
        assert done.returncode == 0, done.stderr

    @staticmethod
    def _prefix() -> list[str]:
        """PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return []
        user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
        return [program("setpriv"), *user]

    @staticmethod
    def _give_away(directory: Path) -> None:
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres", "postgres")

    def end(self) -> None:
        super().end()
        ports.release(self.port)


def _rows(answer: pq.abc.PGresult) -> Iterator[list[str]]:
    for row in range(answer.ntuples):
        values = (answer.get_value(row, column) or b"" for column in range(answer.nfields))
        yield [value.decode() for value in values]
