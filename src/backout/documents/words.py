"""A command's text -> the simple commands in it, as words, and the machine that they are for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from backout.documents import placeholders

_BETWEEN = frozenset(("&&", "||", "|", ";", "&", ";;", "|&", "(", ")"))
_ASSIGNMENT = re.compile(r"^[A-Za-z_]\w*\+?=")
_PREFIXES = frozenset(
    [
        "sudo",
        "time",
        "nohup",
        "exec",
        "command",
        "env",
        "then",
        "do",
        "else",
        "elif",
        "if",
        "while",
        "until",
        "!",
        "{",
        "nice",
        "doas",
    ]
)
_NO_COMMANDS = frozenset(("for", "case", "select", "done", "fi", "esac"))
"""What begins or ends a loop or a branch, and its words with it."""
_SUDO_VALUE = frozenset(("-u", "-g", "-U", "-H", "--user", "--group"))
_SSH_VALUE = frozenset(
    [
        "-i",
        "-p",
        "-l",
        "-o",
        "-F",
        "-J",
        "-L",
        "-R",
        "-D",
        "-b",
        "-c",
        "-e",
        "-m",
        "-W",
        "-w",
        "-S",
        "-E",
        "-B",
    ]
)
_RUN_VALUE = frozenset(
    """
    -e --env -u --user -w --workdir -p --publish -v --volume --network --name --entrypoint
    --env-file --index -a --app -r --remote -l --label -h --hostname --mount -m --memory
    """.split()  # noqa: SIM905 - options, as a list of words
)
_RUNNER = re.compile(
    r"^(?:bundle exec|npx(?: --?y(?:es)?)?|bunx|poetry run|uv run|pipenv run|pnpm (?:exec|dlx)|"
    r"yarn dlx|dotenvx? run --|(?:bash|sh|zsh)(?: -[a-z]+)*(?= \S*[/.]\S))\s+"
)


@dataclass(frozen=True, slots=True)
class Simple:
    """One simple command. `host` is where `ssh` takes it, `user` whom `sudo` makes it."""

    words: tuple[str, ...]
    host: str = ""
    user: str = ""
    sudo: bool = False
    assigned: bool = False
    """Variables are set before it, or it is nothing but that."""
    login: tuple[str, ...] = ()
    """The options of the `ssh`."""

    @property
    def head(self) -> str:
        return self.words[0].rpartition("/")[2] if self.words else ""

    @property
    def text(self) -> str:
        return " ".join((self.head, *self.words[1:])).strip()

    @property
    def bare(self) -> str:
        """Without what only starts another program (`npx`, `bundle exec`, `bash` before a file),
        and without the file that takes what it says besides."""
        writes = self.head in ("cat", "echo", "printf")
        out = next((at for at, word in enumerate(self.words) if word[:1] == ">"), None)
        out = None if writes else out
        return _RUNNER.sub("", replace(self, words=self.words[:out]).text)

    @property
    def inner(self) -> Simple | None:
        """What it runs in a container, a pod or a dyno, where it runs something there."""
        words = self._inside()
        head = words[0] if words else ""
        return Simple(words, self.host) if head and not head.startswith("-") else None

    def _inside(self) -> tuple[str, ...]:
        words = self.words
        if self.head in ("kubectl", "oc"):
            return words[words.index("--") + 1 :] if "exec" in words and "--" in words else ()
        if self.head == "heroku":
            return _behind_options(words[2:]) if words[1:2] in (("run",), ("run:detached",)) else ()
        if self.head not in ("docker", "podman", "docker-compose", "podman-compose"):
            return ()
        verb = next((at for at, word in enumerate(words) if word in ("exec", "run")), 0)
        return _behind_options(words[verb + 1 :])[1:] if verb else ()


def _behind_options(words: tuple[str, ...]) -> tuple[str, ...]:
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in _RUN_VALUE else 1
    return words[at:]


_DOCUMENT = re.compile(
    r"(?P<opens><<-?\s*(?P<quote>['\"\\]?)(?P<word>[A-Za-z_]\w*)['\"]?[^\n]*)\n"
    r"(?:.*\n)*?[ \t]*(?P=word)(?=\n|$)"
)
_LINES = re.compile(r"<<-?\s*['\"\\]?[A-Za-z_]\w*['\"]?[^\n]*\n\s*\S")


def tokens(text: str) -> list[str]:
    """The words and operators of a shell text, quotes removed; broken ones are cut at blanks."""
    plain = placeholders.masked(text)
    flat = re.sub(r"\\\r?\n\s*", " ", plain.text).replace("&>", ">")  # bash's: no command ends
    flat = _DOCUMENT.sub(r"\g<opens>", flat)
    if "<<" in flat and "\n" in flat and not _LINES.search(flat):
        flat = flat.partition("\n")[0]
    lexer = shlex.shlex(flat, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    try:
        found = list(lexer)
    except ValueError:
        found = flat.split()
    return [plain.restored(word) for word in found]


@lru_cache(maxsize=2048)
def simple(text: str) -> tuple[Simple, ...]:
    """Every simple command of a statement, those behind `ssh HOST` too, in order."""
    return tuple(_simple(tokens(text), 0))


def _simple(words: Sequence[str], depth: int) -> Iterator[Simple]:
    part: list[str] = []
    for word in (*words, ";"):
        if word not in _BETWEEN and not set(word) <= set("();&|\n"):
            part.append(word)
            continue
        if part:
            yield from _peeled(part, depth)
        part = []


def _peeled(words: list[str], depth: int) -> Iterator[Simple]:
    user, sudo, assigned = "", False, False
    while words and (words[0] in _PREFIXES or _ASSIGNMENT.match(words[0])):
        first = words.pop(0)
        assigned = assigned or bool(_ASSIGNMENT.match(first))
        sudo = sudo or first == "sudo"
        while first in ("sudo", "env", "nice", "doas") and words and words[0].startswith("-"):
            option = words.pop(0)
            if option in _SUDO_VALUE - {"-H"} and words:
                value = words.pop(0)
                user = value if option in ("-u", "--user") else user
            elif option in ("-i", "-s", "-"):
                words = words or ["su"]
    if not (words or assigned) or (words[:1] and words[0] in _NO_COMMANDS):
        return
    if words and words[0].rpartition("/")[2] == "ssh" and depth < 3:
        yield from _ssh(words, depth)
        return
    yield Simple(tuple(words), user=user, sudo=sudo, assigned=assigned)


def _ssh(words: list[str], depth: int) -> Iterator[Simple]:
    rest, host, login = words[1:], "", list[str]()
    while rest:
        word = rest.pop(0)
        login += [word] if word.startswith("-") else []
        if word in _SSH_VALUE and rest:
            login.append(rest.pop(0))
        elif not word.startswith("-"):
            host = word
            break
    if not rest or rest[0].startswith("<<"):
        yield Simple(tuple(words), host=host, login=tuple(login))
        return
    inner = tokens(" ".join(rest)) if len(rest) == 1 else rest
    for each in _simple(inner, depth + 1):
        yield replace(each, host=host or each.host, login=(*login, *each.login))
