"""What a command is: a command at all, one that never ends, asks, or destroys; and its backend."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from backout.documents import session, vocabulary
from backout.documents.words import Simple, simple

_PATHLIKE = re.compile(
    r"^(?:\./|\.\./|~/|/(?:usr|bin|opt|etc|srv|home|var|root|sbin|app)\b|(?:bin|scripts?|"
    r"deploy|tools|vendor|node_modules|\.venv|venv)/)\S*$"
)
_SCRIPT = re.compile(r"^[\w./-]+\.(?:sh|py|rb|js|ts|pl|php|bash)$")
_PLACE = re.compile(r"^(?:.*/$|.*://|/(?!.*\bs?bin/)[^.]*(?:\.[a-z]{2,3})?$)")
_ARROW = re.compile(r"\s(?:→|⇒|⟶|←|⇐|==?>|──?>|-->|<--)\s")
_ENVIRONMENT = re.compile(r"^[A-Za-z_][A-Za-z0-9_.]*=(?:\"[^\"]*\"|'[^']*'|[^\s;&|]*)$")
_PROSE = re.compile(r"^[A-ZÀ-Ü][\w'’,À-ü-]*(?:\s+[\w'’,()À-ü-]+){2,}[.:!?]?$|^[A-ZÀ-Ü][\wÀ-ü ]+:$")
_YAML = re.compile(r"^(?:- )?[A-Za-z_][\w.-]*:(?:\s|$)")

_PM2_LOGS = re.compile(r"^pm2 (?:logs?|monit)\b(?!.*--nostream)")
_DATABASE = re.compile(r"^(?:psql|mysql|mariadb|mongo|mongosh|redis-cli|sqlite3|cqlsh)\b")
_BATCH = re.compile(
    r"\s(?:-\w*[cfelq]\w*\b|--command|--file|--eval|--execute|--list)|\.sql\b|<|\.js\b|"
    r"\b(?:PING|ping|GET|SET|DEL|FLUSHALL|FLUSHDB|INFO|info|KEYS|flushall|flushdb)\b|\""
)
_ELSEWHERE = {
    "cron": "a line of a timetable, not a command",
    "unit": "a line of a unit file, not a command",
    "requirement": "a requirement, not a command",
    "option": "an option, not a command",
    "folder": "a folder, not a command",
    "windows": "a command of Windows, not of a shell",
}
_AS_WRITTEN = ("script", "unit", "windows")
_SHELLS = frozenset(("bash", "sh", "zsh", "ash"))


def backends() -> tuple[str, ...]:
    """Every restart backend that can be told by a command."""
    return tuple(vocabulary.forms("backends"))


def _programs() -> frozenset[str]:
    return _words(vocabulary.lines("programs")["programs"])


@cache
def _words(lines: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


def _behaves(how: str) -> re.Pattern[str]:
    return vocabulary.forms("behaviour", re.IGNORECASE if how == "destructive" else re.NOFLAG)[how]


def _stranger(kind: str) -> re.Pattern[str]:
    return vocabulary.forms("strangers", re.NOFLAG if kind in _AS_WRITTEN else re.IGNORECASE)[kind]


def backend_of(commands: Sequence[Simple]) -> str:
    """The restart backend that a statement speaks to, if any."""
    for each in commands:
        for name, form in vocabulary.forms("backends").items():
            if form.search(each.text):
                return name
    return ""


def flags_of(text: str, commands: Sequence[Simple]) -> tuple[str, ...]:
    """`cwd`, `interactive`, `follows`, `blocking`, `destructive`, as far as they hold."""
    told = [*commands, *(inner for each in commands if (inner := each.inner))]
    return tuple(
        name
        for name, holds in (
            ("cwd", session.only_goes(commands)),
            ("interactive", any(map(_asks, told)) and not _piped(text)),
            ("follows", any(map(follows, commands))),
            (
                "blocking",
                any(_behaves("blocking").search(c.bare) for c in told) and not _behind(text),
            ),
            ("destructive", bool(_behaves("destructive").search(text))),
        )
        if holds
    )


def follows(command: Simple) -> bool:
    """Whether it shows what comes in, for as long as somebody looks."""
    told = (command, command.inner) if command.inner else (command,)
    return any(_behaves("follows").search(c.bare) or _PM2_LOGS.search(c.bare) for c in told)


def _asks(command: Simple) -> bool:
    if command.head == "ssh":
        return "-N" not in command.words and "-T" not in command.words
    if _DATABASE.search(command.text):
        return not _BATCH.search(" " + " ".join(_quoted(command.words[1:])))
    if command.head in _SHELLS and command.words[1:] in ((), ("-l",), ("-i",)):
        return True
    return bool(_behaves("interactive").search(command.bare))


def _quoted(words: Sequence[str]) -> list[str]:
    return [f'"{word}"' if " " in word else word for word in words]


def _piped(text: str) -> bool:
    """Fed by something else, or by a here-document."""
    return "<<" in text or bool(
        re.search(
            r"\|\s*\\?\s*(?:sudo\s+(?:-\S+\s+)*)?(?:psql|mysql|mariadb|mongo|mongosh|redis-cli|sqlite3|"
            r"ssh|docker|podman|docker-compose|kubectl|(?:ba|z|da)?sh)\b",
            text,
        )
    )


def _behind(text: str) -> bool:
    return bool(re.search(r"[^&]&\s*$", text)) or text.startswith("timeout ")


def safe_form(text: str) -> str:
    """The same look without an end that never comes; empty where there is none."""
    for form, by in (
        (r"^((?:sudo |npx )?pm2 logs?\b(?!.*--nostream).*)$", r"\1 --nostream --lines 100"),
        (r"^((?:sudo )?journalctl\b.*?)\s+(?:-f|--follow)\b(.*)$", r"\1\2 -n 100 --no-pager"),
        (r"^((?:sudo )?journalctl\b.*?)\s-(\w*)f(\w*)\b(.*)$", r"\1 -\2\3\4 -n 100 --no-pager"),
        (r"^((?:sudo )?tail\b.*?)\s-[fF]\b(.*)$", r"\1 -n 100\2"),
        (r"^((?:sudo )?heroku logs\b.*?)\s+(?:--tail|-t)\b(.*)$", r"\1 -n 100\2"),
        (
            r"^((?:sudo )?(?:docker|kubectl|docker-compose)\b.*?\blogs\b.*?)\s+(?:-f|"
            r"--follow)\b(.*)$",
            r"\1 --tail 100\2",
        ),
        (r"^watch\s+(?:-n\s*\S+\s+)?(.*)$", r"\1"),
    ):
        if "\n" not in text and not re.search(r"[;&|]", text) and re.match(form, text):
            return re.sub(r"\s+", " ", re.sub(form, by, text)).strip()
    return ""


def known(text: str) -> bool:
    """Whether it begins with a program that is known, or with a path."""
    commands = simple(text)
    if not commands:
        return False
    first = commands[0]
    if not first.words:
        return first.assigned
    word = first.words[0]
    if word.endswith("/") or (len(first.words) == len(commands) == 1 and _PLACE.match(word)):
        return False  # a folder, an address
    return (
        first.head in _programs()
        or word in _programs()
        or bool(_PATHLIKE.match(word) or _SCRIPT.match(word))
    )


def not_a_command(text: str, *, told: bool) -> str:  # noqa: C901 - a rule after the other
    """Why a statement is none; nothing where it is one. `told`: its fence says that it is."""
    first = text.partition("\n")[0].strip()
    if _stranger("sql").search(first) and not re.match(r"^[a-z]+ -", first):
        word = first.split()[0]
        if word.isupper() or word.startswith(("--", "/*")) or not known(text):
            return "SQL, not a shell command"
    if _stranger("script").search(first) and not re.match(r"export [A-Z_]+=", first):
        return "code of a programming language, not a shell command"
    for kind, reason in _ELSEWHERE.items():
        if _stranger(kind).search(first):
            return reason
    if _ENVIRONMENT.match(text.strip()) and not told:
        return "a line of an environment file"
    if first == "{" or first.startswith("[[") or first.startswith("[ "):
        return "" if told and first.startswith("[") else "data, not a command"
    if vocabulary.forms("strangers")["output"].search(first) and not (
        known(text) and not re.match(r"^[A-Z]", first)
    ):
        return "output, not a command"
    if re.match(r"^\w+://\S+$", first):
        return "an address, not a command"
    if _ARROW.search(re.sub(r"(['\"]).*?\1", "", first)):
        return "a drawing, not a command"
    if known(text):
        return _spoken(first)
    if _PROSE.match(first) and "--" not in first:
        return "prose, not a command"
    if _YAML.match(first):
        return "data, not a command"
    if not told:
        return "no program of this name is known"
    return "" if re.match(r"^[\w./~$\"'<:\ue010-\ue011-]", first) else "not a shell command"


def _spoken(first: str) -> str:
    """Words that are programs too: `make sure that`, `test the login`."""
    if _stranger("speech").match(first) and not re.search(r"\bthen\b|\bdo\b|;", first):
        return "prose, not a command"
    return ""
