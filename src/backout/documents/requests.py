"""`curl …` -> the request that it makes."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from backout.documents.placeholders import found
from backout.documents.words import simple

_IDLE = """
    -w --write-out -m --max-time --connect-timeout --retry --retry-delay --retry-max-time
    --limit-rate -D --dump-header --dns-servers --ciphers --tls-max --proto
    --proto-redir --proto-default -c --cookie-jar -y -Y
    """.split()  # noqa: SIM905 - options, as a list of words
"""curl's options whose value does not change what is asked."""
_UNSAID = """
    -E --cert --key --cacert --capath --cert-type --pass --resolve --connect-to --unix-socket
    --abstract-unix-socket --interface -x --proxy --socks5 --socks5-hostname -K --config -T
    --upload-file -C --continue-at -r --range -z --time-cond --aws-sigv4 --data-urlencode
    --url-query --max-redirs --doh-url --request-target
    """.split()  # noqa: SIM905 - options, as a list of words
"""curl's options whose value changes what is asked into what an `http` check cannot say."""
_PLAIN = frozenset(
    """
    -s -S -f -v -i -g -N -4 -6 -# -0 -k -L -I -G -O --silent --show-error --fail --fail-with-body
    --verbose --include --globoff --no-buffer --ipv4 --ipv6 --compressed --http1.0 --http1.1 --http2
    --progress-bar --no-progress-meter --retry-connrefused --retry-all-errors --path-as-is --tlsv1.2
    --tlsv1.3 --location-trusted --disable -q --quiet -nv --no-verbose --spider -S --server-response
    --no-check-certificate --basic --tlsv1 --ssl-reqd -1 --styled-output
    """.split()  # noqa: SIM905 - options, as a list of words
)
"""Options without a value that do not change what is asked, or are read elsewhere here."""
_RUN = re.compile(r"\$\(|`")
"""What a shell puts in when it is run."""
_SEVERAL = re.compile(r"\{[^{}]*,[^{}]*\}|\[\w+-\w+(?::\d+)?\]")
"""Several addresses in one, as curl reads it."""
_LETTERS = frozenset("oAbcemwxKTrDXHdFuUzECyY")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, as a note has it."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    file: str = ""
    """Where the answer is written to: then it is a download, not a look."""
    insecure: bool = False
    follow: bool = False
    form: bool = False
    told: int = 0
    """How many headers the note itself names."""
    whole: bool = True
    """Whether this is all that is asked: no option changes it into something else."""

    @property
    def creates(self) -> bool:
        return self.method == "POST"

    @property
    def changes(self) -> bool:
        return self.method not in ("GET", "HEAD", "OPTIONS")

    def json(self) -> object | None:
        """The body as JSON data, or None where it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict | list) else None


def requests(text: str) -> tuple[Request, ...]:
    """The requests in one statement."""
    made = (_request(list(each.words)) for each in _calls(text))
    return tuple(request for request in made if request)


@dataclass(frozen=True, slots=True)
class _Call:
    words: tuple[str, ...]


def _calls(text: str) -> Iterator[_Call]:
    for each in simple(text):
        if each.head in ("curl", "wget"):
            yield _Call((each.head, *each.words[1:]))
            continue
        for word in each.words:
            for inner in re.findall(r"(?:\$\(|`)\s*(curl\b[^`]*?)(?:\)$|`|\)(?=[\s\"'=;|]))", word):
                yield from (_Call(("curl", *c.words[1:])) for c in simple(inner)[:1])
        if "curl" in each.words[1:]:
            yield _Call(each.words[each.words.index("curl") :])


def _request(words: list[str]) -> Request | None:
    said = _Said()
    read = _read_wget if words[0] == "wget" else _read_curl
    read(said, words[1:])
    is_download = words[0] == "wget" and said.output not in _NOWHERE
    return said.request() if said.url and not is_download else None


_NOWHERE = ("", "-", "/dev/null")
"""Outputs that keep no file."""


@dataclass(slots=True)
class _Said:
    """What the options of a call have said so far."""

    method: str = ""
    url: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    output: str = ""
    told: int = 0
    get: bool = False
    head: bool = False
    insecure: bool = False
    follow: bool = False
    form: bool = False
    whole: bool = True

    def request(self) -> Request:
        sent = "GET" if self.get or not self.data else "POST"
        return Request(
            method=(self.method or ("HEAD" if self.head else sent)).upper(),
            url=self._asked,
            headers=tuple(self.headers),
            body="" if self.get else "&".join(self.data),
            file="" if self.output in _NOWHERE else self.output,
            insecure=self.insecure,
            follow=self.follow,
            form=self.form,
            told=self.told,
            whole=self.whole and not self.form and not any(map(_RUN.search, self._words())),
        )

    def _words(self) -> Iterator[str]:
        yield from (self.url, *self.data)
        yield from (value for _, value in self.headers)

    @property
    def _asked(self) -> str:
        joined = "&".join(self.data) if self.get else ""
        return f"{self.url}{'&' if '?' in self.url else '?'}{joined}" if joined else self.url

    def named(self, text: str) -> None:
        """A header that the note names."""
        self.sent(text)
        self.told += 1

    def sent(self, text: str) -> None:
        self.headers += _header(text)
        self.whole = self.whole and not text.startswith("@")

    def posted(self, text: str) -> None:
        self.data.append(text)
        self.whole = self.whole and not text.startswith("@")

    def sent_json(self, text: str) -> None:
        self.posted(text)
        self.headers.append(("Content-Type", "application/json"))

    def sent_form(self, text: str) -> None:
        self.data.append(text)
        self.form = True

    def authorized(self, user: str) -> None:
        pair = base64.b64encode(user.encode("utf-8", "replace")).decode()
        self.headers.append(("Authorization", f"Basic {pair}"))
        self.whole = self.whole and not list(found(user, 1))  # a blank has no value to encode yet

    def carried(self, token: str) -> None:
        self.headers.append(("Authorization", f"Bearer {token}"))

    def called(self, agent: str) -> None:
        self.headers.append(("User-Agent", agent))

    def came_from(self, page: str) -> None:
        self.headers.append(("Referer", page))

    def remembered(self, cookie: str) -> None:
        self.headers.append(("Cookie", cookie))
        self.whole = self.whole and "=" in cookie  # else it is a file

    def asked_by(self, method: str) -> None:
        self.method = method

    def located(self, url: str) -> None:
        self.whole = self.whole and not self.url and not _SEVERAL.search(url)
        self.url = self.url or url

    def written_to(self, file: str) -> None:
        self.output = file

    def ignored(self, value: str) -> None:
        """A value that changes nothing of what is asked."""

    def unsaid(self, value: str = "") -> None:  # noqa: ARG002 - as the others are called
        """What changes what is asked, and is not among what a request has."""
        self.whole = False


_CURL: dict[str, Callable[[_Said, str], None]] = {
    **dict.fromkeys(_IDLE, _Said.ignored),
    **dict.fromkeys(_UNSAID, _Said.unsaid),
    **dict.fromkeys(("-b", "--cookie"), _Said.remembered),
    **dict.fromkeys(("-A", "--user-agent"), _Said.called),
    **dict.fromkeys(("-e", "--referer"), _Said.came_from),
    **dict.fromkeys(("-X", "--request"), _Said.asked_by),
    **dict.fromkeys(("-H", "--header"), _Said.named),
    **dict.fromkeys(("-d", "--data", "--data-raw", "--data-binary"), _Said.posted),
    "--data-ascii": _Said.posted,
    "--oauth2-bearer": _Said.carried,
    **dict.fromkeys(("-F", "--form"), _Said.sent_form),
    **dict.fromkeys(("-u", "--user"), _Said.authorized),
    **dict.fromkeys(("-o", "--output"), _Said.written_to),
    "--json": _Said.sent_json,
    "--url": _Said.located,
}
"""curl's options that take a value."""
_CURL_FLAGS = {
    **dict.fromkeys(("-G", "--get"), "get"),
    **dict.fromkeys(("-I", "--head"), "head"),
    **dict.fromkeys(("-k", "--insecure"), "insecure"),
    **dict.fromkeys(("-L", "--location"), "follow"),
}
"""curl's options without a value that change what is asked."""
_WGET: dict[str, Callable[[_Said, str], None]] = {
    "--header": _Said.sent,
    "--post-data": _Said.posted,
}
"""wget's options that are worded `--option=value`."""
_WGET_IDLE = frozenset(("-t", "--tries", "-T", "--timeout", "-w", "--wait"))


def _read_curl(said: _Said, rest: list[str]) -> None:
    while rest:
        word = rest.pop(0)
        if word.startswith("--") and "=" in word:
            word, _, value = word.partition("=")
            rest.insert(0, value)
        if re.match(r"^-[A-Za-z]{2,}", word):
            word, rest = _apart(word, rest)
        if word in _CURL and rest:
            _CURL[word](said, rest.pop(0))
        elif word in ("-O", "--remote-name"):
            said.output = "download"
        elif word in _CURL_FLAGS:
            setattr(said, _CURL_FLAGS[word], True)
        elif word.startswith("-") and word not in _PLAIN:
            said.unsaid()
        elif not word.startswith(("-", ">", "<")) and not word.isdigit() and not _written(word):
            said.located(word)


def _written(word: str) -> bool:
    """Whether a word is where the shell writes an answer to."""
    return word in ("/dev/null", "&1", "1", "2") or word.startswith(("2>", "1>", "&>"))


def _read_wget(said: _Said, rest: list[str]) -> None:
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if word == "--output-document" and rest:
            said.output = rest.pop(0)
        elif word.startswith(("-qO", "-O")):
            said.output = word.partition("O")[2] or (rest.pop(0) if rest else "")
        elif option in _WGET and equals:
            _WGET[option](said, value)
        elif word.startswith("-") and option not in _PLAIN | _WGET_IDLE:
            said.unsaid()
        elif not word.startswith(("-", ">")) and not word.isdigit() and not _written(word):
            said.located(word)


def _apart(word: str, rest: list[str]) -> tuple[str, list[str]]:
    """`-sSXPOST` -> the last option that matters, with its value before the other words."""
    for at, letter in enumerate(word[1:], 1):
        if letter in _LETTERS:
            value = word[at + 1 :]
            flags = [f"-{each}" for each in word[1:at] if each in "kLIG"]
            return f"-{letter}", [
                *([value] if value else rest[:1]),
                *flags,
                *(rest if value else rest[1:]),
            ]
    flags = [f"-{each}" for each in word[1:] if each in "kLIGO"]
    return (flags[0], [*flags[1:], *rest]) if flags else ("-s", rest)


def _header(text: str) -> list[tuple[str, str]]:
    name, colon, value = text.partition(":")
    return [(name.strip(), value.strip())] if colon else []
