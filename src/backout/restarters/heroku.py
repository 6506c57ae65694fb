"""The dynos of an application on Heroku."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from backout.model import Identity, Options, Result, Service, State
from backout.ports import Transport
from backout.restarters.backend import Backend, log_of, nobody_knows, quote
from backout.restarters.foreign import Foreign, Unreadable, parsed

_ONE_OFF = {"release", "run", "scheduler"}
"""Dynos that end by themselves."""


class HerokuOptions(Options):
    """`app` is the application, else the service's name; `process` a process type, else all;
    `token` a secret, else what HEROKU_API_KEY holds; `api` another address of the API."""

    secret_fields: ClassVar[tuple[str, ...]] = ("token",)
    app: str = ""
    process: str = ""
    token: str = ""
    api: str = ""


class Version(Foreign):
    """A release of the application."""

    version: int | None = None
    status: str = ""


class Dyno(Foreign):
    """A dyno, and the release that it runs."""

    id: str = ""
    name: str = ""
    type: str = ""
    state: str = ""
    created_at: str = ""
    release: Version = Version()


class Formation(Foreign):
    """What runs, and what should."""

    dynos: tuple[Dyno, ...] = ()
    release: Version = Version()


class Heroku(Backend):
    """Heroku is asked from this machine. Its router knows the ports, so `service.port` says
    nothing here."""

    Options: ClassVar[type[Options]] = HerokuOptions

    def __init__(self, service: Service, transport: Transport) -> None:
        super().__init__(service, transport)
        token = service.options.token
        self.env = (("HEROKU_API_KEY", token),) if token else ()

    def identity(self) -> Identity:
        """Every dyno, and when and from which release it was made."""
        found = self.look(self._ask("state"))
        if isinstance(found, Result):
            return nobody_knows(found)
        try:
            state = parsed(Formation, found[""])
        except Unreadable as error:
            return Identity(up=False, known=False, detail=error.what)
        process = self.service.options.process
        dynos = [
            dyno
            for dyno in state.dynos
            if dyno.type == process or (not process and dyno.type not in _ONE_OFF)
        ]
        return _identity(dynos, state.release)

    def restart(self, key: str) -> Result:
        return self.change(key, self._ask("restart"))

    def stop(self, key: str) -> Result:  # noqa: ARG002 - Heroku has no such verb
        """A stopped dyno is started again by Heroku: only a person scales a process to 0."""
        process = self.service.options.process or "web"
        words = f"Heroku starts stopped dynos again: heroku ps:scale {process}=0 --app {self._app}"
        return Result(State.FAILED, reason=words)

    def logs(self, lines: int) -> str:
        result = self.read(self._ask("logs", "--lines", f"{lines:d}"))
        return log_of(result, self.service, lines)

    def find(self) -> Sequence[Mapping[str, str]]:
        if not self.read(self._ask("state")).ok:
            return ()
        return ({"backend": "heroku", "name": self.service.name, "app": self._app},)

    @property
    def _app(self) -> str:
        return str(self.service.options.app or self.service.name)

    def _ask(self, verb: str, *words: str) -> str:
        options = self.service.options
        process = ("--process", options.process) if options.process else ()
        api = ("--api", options.api) if options.api else ()
        program = (sys.executable, "-m", "backout.heroku")
        return quote(*program, verb, *words, *process, *api, "--", self._app)


def _identity(dynos: Sequence[Dyno], release: Version) -> Identity:
    """Without a dyno it is not stopped: Heroku makes them when it sees fit."""
    version, status = release.version, release.status
    made = [time for time in map(_made, dynos) if time]
    return Identity(
        up=bool(dynos)
        and all(dyno.state == "up" and dyno.release.version == version for dyno in dynos)
        and status == "succeeded",
        value=" ".join(sorted(map(_word, dynos))),
        trying=not dynos,
        uptime=(datetime.now(UTC) - max(made)).total_seconds() if made else None,
        detail="; ".join([f"release v{version} {status}", *map(_words, dynos)]),
    )


def _word(dyno: Dyno) -> str:
    return f"{dyno.id}.{dyno.created_at}.v{dyno.release.version}"


def _made(dyno: Dyno) -> datetime | None:
    try:
        return datetime.fromisoformat(dyno.created_at).astimezone(UTC)
    except ValueError:
        return None


def _words(dyno: Dyno) -> str:
    return f"{dyno.name} {dyno.state} (v{dyno.release.version})"
