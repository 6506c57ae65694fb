"""The service that tests deploy: its code in every release and misbehaviour, and its health."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypedDict, get_args

from .process import Process
from .tools import system_python
from .wait import eventually

Behaviour = Literal[
    "healthy", "crash-at-start", "crash-later", "error-500", "hang", "ignore-sigterm", "never-bind"
]
BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)
SOURCE = Path(__file__).with_name("sample") / "app.py"


class Health(TypedDict):
    """What GET /health answers."""

    status: str
    release: str
    pid: int


def source(version: str = "1", behaviour: Behaviour = "healthy", after: float = 0.5) -> str:
    """The service's code as release `version`, behaving as told."""
    text = SOURCE.read_text()
    for old, new in (
        ('VERSION = "1"', f'VERSION = "{version}"'),
        ('BEHAVIOUR = "healthy"', f'BEHAVIOUR = "{behaviour}"'),
        ("AFTER = 0.5", f"AFTER = {after}"),
    ):
        assert text.count(old + "\n") == 1, f"{SOURCE} lost its line {old}"
        text = text.replace(old + "\n", new + "\n")
    return text


def write(
    directory: Path, version: str = "1", behaviour: Behaviour = "healthy", after: float = 0.5
) -> Path:
    """Put the service's code into `directory` and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "app.py"
    path.write_text(source(version, behaviour, after))
    return path


def command(path: Path) -> list[str]:
    """The command line that starts the service."""
    return [system_python(), "-S", "-E", str(path)]


def run(path: Path, address: str, port: int, env: Mapping[str, str] | None = None) -> Process:
    """Start the service as a plain background process, without waiting for it."""
    variables = {"HOST": address, "PORT": str(port), "PATH": "/usr/bin:/bin", **(env or {})}
    return Process(command(path), log=path.with_name("app.log"), env=variables)


def ask(address: str, port: int, path: str = "/health", timeout: float = 2.0) -> tuple[int, bytes]:
    """One GET request: status and body."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def health(address: str, port: int) -> Health | None:
    """The service's health, or None while it does not answer 200."""
    try:
        status, body = ask(address, port)
    except (OSError, http.client.HTTPException):
        return None
    if status != 200:
        return None
    answer: Health = json.loads(body)
    return answer


def wait_healthy(
    address: str, port: int, *, release: str | None = None, within: float = 150.0
) -> Health:
    """Wait until the service answers, and with `release` until that release does."""

    def answered() -> Health | None:
        seen = health(address, port)
        return seen if seen and release in (None, seen["release"]) else None

    found = eventually(answered, within=within, saying=f"release {release or 'any'} answering")
    assert found is not None
    return found
