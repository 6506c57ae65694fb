"""Runbooks, inventories and plug-ins under test: a project that a test makes, and verbs typed in
it, in the test's own process.

    >>> import tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> sandbox = Sandbox(directory.name)
    >>> well = {"command": "test -e flag", "expect": ["exit_code == 0"]}
    >>> host = {"connection": "local"}
    >>> _ = sandbox.inventory("prod", {"hosts": {"here": host}, "checks": {"well": well}})
    >>> raise_it = {"name": "Raise the flag", "run": "touch flag", "undo": "rm -f flag"}
    >>> _ = sandbox.runbook("deploy", {"summary": "A flag.", "steps": [raise_it]})
    >>> said = sandbox.say("deploy", "--target", "prod", "--accept-red", "well", "--json")
    >>> (said.code, said.outcome)
    (<ExitCode.DONE: 0>, <Outcome.SUCCEEDED: 'succeeded'>)
    >>> (sandbox.directory / "flag").exists()
    True
    >>> directory.cleanup()

Nothing is pretended: hosts are reached, commands run, and the journal is written. A test names
hosts that it may change, `connection: local` above all.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from backout.errors import ExitCode
from backout.model import Outcome

__all__ = ["Said", "Sandbox"]


@dataclass(frozen=True)
class Said:
    """What one command said on both streams, and how it left: `code` is an `ExitCode`, unless it
    was killed."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """The one JSON object that `--json` prints."""
        loaded: dict[str, Any] = json.loads(self.out)
        return loaded

    @property
    def outcome(self) -> Outcome:
        """How the run ended, of a verb that runs something, with `--json`. Raises KeyError."""
        return Outcome(self.data["outcome"])


class Sandbox:
    """Inventories, runbooks and state in one directory. `env` is what verbs find in their
    environment besides what is there."""

    def __init__(self, directory: str | Path, env: Mapping[str, str] | None = None) -> None:
        self.directory = Path(directory)
        self.env = {**os.environ, "NO_COLOR": "1", **(env or {})}
        self.env.pop("BACKOUT_TARGET", None)
        for folder in ("inventories", "runbooks"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        (self.directory / "tasks.py").write_text("from backout.tasks import ns\n")

    @property
    def state(self) -> Path:
        """Where the journal is."""
        return self.directory / ".backout"

    def inventory(self, name: str, data: Mapping[str, Any]) -> Path:
        """Write `inventories/NAME.yaml`; returns its path."""
        return self._write("inventories", name, data)

    def runbook(self, name: str, data: Mapping[str, Any]) -> Path:
        """Write `runbooks/NAME.yaml`; returns its path."""
        return self._write("runbooks", name, data)

    def say(self, *words: str, env: Mapping[str, str] | None = None) -> Said:
        """Type `backout WORDS` in the project's directory, and wait for its end. From one thread at
        a time: meanwhile the process's directory, environment and streams are the command's. It
        finds no terminal, and nothing to read."""
        code, out, err = typed(words, self.directory, {**self.env, **(env or {})})
        return Said(ExitCode(code), out, err)

    def _write(self, folder: str, name: str, data: Mapping[str, Any]) -> Path:
        import yaml

        path = self.directory / folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(dict(data), sort_keys=False))
        return path


def typed(
    words: Sequence[str], directory: Path, env: Mapping[str, str], name: str = "backout"
) -> tuple[int, str, str]:
    """Type `NAME WORDS` in a directory, with that environment: how it left, and what it said on
    both streams."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        with _as_typed([name, *words], directory, env, out, err):
            code = _typed()
        return code, _read(out), _read(err)


def _typed() -> int:
    from backout.tasks import main

    try:
        main()
    except SystemExit as left:
        if not isinstance(left.code, int):
            raise
        return left.code
    return 0


@contextmanager
def _as_typed(
    words: Sequence[str], directory: Path, env: Mapping[str, str], out: IO[str], err: IO[str]
) -> Iterator[None]:
    """The process as a shell would have started it, and as it was afterwards."""
    argv, stdin, before = sys.argv, sys.stdin, dict(os.environ)
    with (
        Path(os.devnull).open(encoding="utf-8") as nothing,
        chdir(directory),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        sys.argv, sys.stdin = [*words], nothing
        _put(env)
        try:
            yield
        finally:
            sys.argv, sys.stdin = argv, stdin
            _put(before)


def _put(env: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)


def _read(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read()
