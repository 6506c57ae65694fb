"""Secrets by reference, and the one redactor that stands in front of every sink.

A secret is fetched when it is first needed, and is in force from then on (one that comes from
an environment variable from the start, because every child process can already print it).

- `reveal` puts values where references stand (`\\ue000NAME\\ue001`).
- `refer` goes the other way, for the journal: a value, or a part of one, becomes its reference
  again, so that what is recalled can be revealed and acted on. An encoded one becomes a label.
- `redact` is for eyes: values, their encodings and references become `[secret NAME]`.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event, RLock, Thread
from time import monotonic
from typing import Any

from backout.adapters.redactor import (
    REFERENCE,
    Redactor,
    around_references,
    name_in,
    part_in,
    redact_data,
    reference_in,
    reference_to,
)
from backout.adapters.spellings import SHORT, Form, forms_of
from backout.errors import Refused
from backout.model import SecretSource
from backout.model.operands import at_home, unsayable

LONGEST = 1 << 20
"""Letters of a secret; what is longer is none, and may never end."""
REMEMBERED = 30.0
"""A command that gave no secret is not asked again so soon, while somebody watches."""


class Stream:
    """Redacts a text that arrives in chunks, holding back only what may be a secret's start."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._held = ""
        self._before = ""

    def feed(self, chunk: str) -> str:
        """What can be shown now."""
        text = self._held + chunk
        return self._emit(text, self._vault.redactor.undecided(text, self._before))

    def flush(self) -> str:
        """What was held back: nothing more will come."""
        return self._emit(self._held, len(self._held))

    def _emit(self, text: str, cut: int) -> str:
        shown, self._held = text[:cut], text[cut:]
        redacted = self._vault.redact(shown, self._before)
        self._before = shown[-1:] or self._before
        return redacted


# --- the vault -----------------------------------------------------------------------------


class Vault:
    """The secrets of one target. Nothing of it, its repr included, ever shows a value."""

    def __init__(
        self,
        secrets: Mapping[str, SecretSource],
        root: Path | str = ".",
        *,
        environ: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> None:
        self._sources = dict(secrets)
        self._root = Path(root)
        self._environ = os.environ if environ is None else environ
        self._timeout = timeout
        self._values: dict[str, str] = {}
        self._warnings: list[str] = []
        self._lock = RLock()
        self._patience: float | None = None
        self._fetching: dict[str, _Fetching] = {}
        self._seen: dict[str, object] = {}
        self.redactor = Redactor()
        for name, source in self._sources.items():
            if value := self._environ.get(source.env or "", "").rstrip("\r\n"):
                self._take(name, value)

    def __repr__(self) -> str:
        return f"Vault({', '.join(self._sources)})"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know about how the secrets are kept."""
        return tuple(self._warnings)

    def fetch(self, names: Iterable[str]) -> None:
        """Have these secrets in force now. Raises Refused when one cannot be fetched."""
        for name in names:
            self._value(name)

    def follow(self, patience: float) -> None:
        """From now on, for a process that goes on for long: nobody waits longer than so many
        seconds for a command, and a file that was changed is read again."""
        self._patience = patience

    def reveal(self, text: str) -> str:
        """`text` with every reference replaced by its value. Raises Refused when a secret
        cannot be fetched."""
        return REFERENCE.sub(lambda match: self._part(match[1]), text)

    def refer(self, text: str) -> str:
        """`text` with every value replaced by its reference, for the journal. `reveal` is its
        inverse, also where a part of a value only happens to stand in a path; of what is encoded
        there remains a label."""
        redactor = self.redactor
        if redactor.silent(text):
            return text

        def reference(form: Form, found: str) -> str:
            if form.raw and found == form.text:
                return reference_to(form.name)
            value = self._values.get(form.name, "")
            return reference_in(form.name, value, found) or redactor.label(form.name)

        return around_references(text, redactor, reference, reference_to)

    def redact(self, text: str, before: str = "") -> str:
        """`text` without any value in force, in whatever encoding it stands there; references
        become readable too. `before` is the character that went before `text`, if any."""
        redactor = self.redactor
        if redactor.silent(text):
            return text
        return around_references(
            text,
            redactor,
            lambda form, _: redactor.label(form.name),
            lambda name: redactor.label(name_in(name)),
            before,
        )

    def hide(self, text: str) -> str:
        """`text` without any value, and with the references that it has: they are another's."""
        redactor = self.redactor
        if redactor.silent(text):
            return text
        return around_references(
            text, redactor, lambda form, _: redactor.label(form.name), reference_to
        )

    def redact_data(self, value: Any) -> Any:
        """`redact` over every string of JSON-like data."""
        return redact_data(value, self.redact)

    def reveal_data(self, value: Any) -> Any:
        """`reveal` over every string of JSON-like data."""
        return redact_data(value, self.reveal)

    def stream(self) -> Stream:
        """A redactor for text that arrives in chunks."""
        return Stream(self)

    def _part(self, reference: str) -> str:
        name = name_in(reference)
        try:
            return part_in(reference, self._value(name))
        except ValueError:
            words = f"secret {name} is another one than when a part of it was put on record"
            raise Refused(words, next="give it the value that it had then") from None

    def _value(self, name: str) -> str:
        value = self._had(name)
        if why := unsayable(value):
            words = f"secret {name} {why}: no command or request can be given it"
            raise Refused(words, next="keep it as text, for example in base64")
        return value

    def _had(self, name: str) -> str:
        if self._patience is not None:
            return self._followed(name, self._patience)
        with self._lock:
            if name not in self._values:
                self._take(name, self._fetch(name))
            return self._values[name]

    def _followed(self, name: str, patience: float) -> str:
        source = self._sources.get(name)
        with self._lock:
            if source is not None and source.file is not None:
                self._read_again(name, self._root / at_home(source.file))
            if name in self._values:
                return self._values[name]
            if source is None or source.command is None:
                self._take(name, self._fetch(name))
                return self._values[name]
            fetching = self._fetching.get(name)
            if fetching is None or fetching.over:
                fetching = self._fetching[name] = _Fetching(lambda: self._fetch(name))
        value = fetching.wait(patience, f"secret {name} is not there yet: `{source.command}`")
        with self._lock:
            if name not in self._values:
                self._take(name, value)
        return value

    def _read_again(self, name: str, path: Path) -> None:
        """Forget the value of a file that was changed; while there is none, the old one counts."""
        try:
            stat = path.stat()
        except OSError:
            return
        seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if self._seen.get(name, seen) != seen and stat.st_size:
            old = self._values.pop(name, None)
            try:
                self._take(name, self._fetch(name))
            except Refused:
                if old is not None:
                    self._values[name] = old
                return
        self._seen[name] = seen

    def _take(self, name: str, value: str) -> None:
        if len(value) < SHORT:
            self._warnings.append(
                f"secret {name} is shorter than {SHORT} characters:"
                " it can be hidden only where it stands as a word of its own"
            )
        self.redactor = self.redactor.adding(forms_of(name, value))
        self._values[name] = value

    def _fetch(self, name: str) -> str:
        source = self._sources.get(name)
        if source is None:
            raise Refused(
                f"there is no secret named {name}",
                next=f"add it under `secrets:` of the inventory: {name}: {{env: VARIABLE}}",
            )
        if source.env is not None:
            value, ways = self._environ.get(source.env, ""), f"export {source.env}=…"
            origin = f"the environment variable {source.env}"
        elif source.file is not None:
            path = self._root / at_home(source.file)
            value, ways = self._read(name, path), f"write the value into {path}"
            origin = f"the file {path}"
        else:
            command = source.command or ""
            value, ways = self._ask(name, command), f"see that it prints the value: {command}"
            origin = f"the command `{command}`"
        value = value.rstrip("\r\n")
        if not value:
            raise Refused(f"secret {name} is missing: {origin} gives nothing", next=ways)
        return value

    def _read(self, name: str, path: Path) -> str:
        try:
            mode = path.stat().st_mode
            with path.open(encoding="utf-8") as file:  # which may be a pipe
                value = file.read(LONGEST + 1)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise Refused(
                f"secret {name} cannot be read from the file {path}: {reason}",
                next=f"write the value into {path}, and chmod 600 it",
            ) from None
        if len(value) > LONGEST:
            raise Refused(
                f"secret {name} cannot be read from the file {path}: longer than {LONGEST} letters",
                next=f"name the file that has it in place of {path}",
            )
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            self._warnings.append(f"secret {name}: {path} is open to others: chmod 600 {path}")
        return value

    def _end(self, asked: subprocess.Popen[bytes]) -> None:
        if self._patience is None:
            asked.kill()
            return
        with suppress(ProcessLookupError):
            os.killpg(asked.pid, signal.SIGKILL)

    def _ask(self, name: str, command: str) -> str:
        asked = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=self._root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=self._patience is not None,  # nobody is there whom it could ask
        )
        with asked:
            try:
                out, err = asked.communicate(timeout=self._timeout)
            except subprocess.TimeoutExpired:
                self._end(asked)
                reason = f"it did not answer within {self._timeout:g} s"
            else:
                reason = f"it exited {asked.returncode}: {_tail(self.redact(_text(err)))}"
                if asked.returncode == 0:
                    return _text(out)
        raise Refused(
            f"secret {name} cannot be fetched by the command `{command}`: {reason}",
            next=f"see that it prints the value: {command}",
        )


class _Fetching:
    """A secret's command, asked in a thread of its own. What went wrong is remembered for a
    while, so that it does not have to be waited for by everybody anew."""

    def __init__(self, fetch: Callable[[], str]) -> None:
        self._began = monotonic()
        self._done = Event()
        self._ended = 0.0
        self._value = ""
        self._error: BaseException | None = None
        Thread(target=self._run, args=(fetch,), name="secret", daemon=True).start()

    def _run(self, fetch: Callable[[], str]) -> None:
        try:
            self._value = fetch()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._error = error
        self._ended = monotonic()
        self._done.set()

    @property
    def over(self) -> bool:
        """It failed, long enough ago to be tried again."""
        return self._done.is_set() and bool(self._error) and monotonic() > self._ended + REMEMBERED

    def wait(self, patience: float, otherwise: str) -> str:
        """The value. Raises Refused when there is none, or not `patience` seconds after it was
        asked for."""
        if not self._done.wait(max(0.0, self._began + patience - monotonic())):
            raise Refused(f"{otherwise} has not answered", next="see that it prints the value")
        if self._error is not None:
            raise self._error
        return self._value


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="surrogateescape")


def _tail(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-3:]) or "and said nothing"
