"""`curl …` -> the request that it makes."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from backout.documents.words import simple

_VALUED = frozenset(
    """
    -o --output -w --write-out -m --max-time --connect-timeout -A --user-agent -b --cookie
    -c --cookie-jar -e --referer --cacert --cert -E --key --resolve --retry --retry-delay
    --retry-max-time -x --proxy -K --config -T --upload-file -C -r --range --limit-rate
    --interface --unix-socket -D --dump-header --connect-to --cert-type --ciphers
    --dns-servers --max-redirs -z --time-cond --pass --tls-max --oauth2-bearer --aws-sigv4 -y -Y
    """.split()  # noqa: SIM905 - options, as a list of words
)
_DATA = frozenset(
    [
        "-d",
        "--data",
        "--data-raw",
        "--data-binary",
        "--data-ascii",
        "--data-urlencode",
        "--json",
        "-F",
        "--form",
    ]
)
_LETTERS = frozenset("oAbcecmwxKTrDXHdFuUzEC")


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

    @property
    def creates(self) -> bool:
        return self.method == "POST"

    def json(self) -> object | None:
        """The body as JSON data, or None where it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict | list) else None


def requests(text: str) -> tuple[Request, ...]:
    """The requests in one statement."""
    found = (_request(list(each.words)) for each in _calls(text))
    return tuple(request for request in found if request)


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
    program, rest = words[0], words[1:]
    method, url, data, headers, output = "", "", list[str](), list[tuple[str, str]](), ""
    told = 0
    get = head = insecure = follow = form = False
    while rest:
        word = rest.pop(0)
        if word.startswith("--") and "=" in word and program == "curl":
            word, _, value = word.partition("=")
            rest.insert(0, value)
        if re.match(r"^-[A-Za-z]{2,}", word) and not word.startswith("--") and program == "curl":
            word, rest = _apart(word, rest)
        if program == "wget":
            if word in ("-O", "--output-document") and rest:
                output = rest.pop(0)
            elif word.startswith(("-qO", "-O")):
                output = word.partition("O")[2] or (rest.pop(0) if rest else "")
            elif word.startswith("--header="):
                headers += _header(word.partition("=")[2])
            elif word.startswith("--post-data="):
                data.append(word.partition("=")[2])
            elif not word.startswith("-"):
                url = url or word
        elif word in ("-X", "--request") and rest:
            method = rest.pop(0)
        elif word in ("-H", "--header") and rest:
            headers += _header(rest.pop(0))
            told += 1
        elif word in _DATA and rest:
            data.append(rest.pop(0))
            form = form or word in ("-F", "--form")
            if word == "--json":
                headers.append(("Content-Type", "application/json"))
        elif word in ("-u", "--user") and rest:
            pair = base64.b64encode(rest.pop(0).encode("utf-8", "replace")).decode()
            headers.append(("Authorization", f"Basic {pair}"))
        elif word == "--url" and rest:
            url = rest.pop(0)
        elif word in ("-o", "--output") and rest:
            output = rest.pop(0)
        elif word in _VALUED and rest:
            rest.pop(0)
        elif word in ("-O", "--remote-name"):
            output = "download"
        elif word in ("-G", "--get"):
            get = True
        elif word in ("-I", "--head"):
            head = True
        elif word in ("-k", "--insecure"):
            insecure = True
        elif word in ("-L", "--location"):
            follow = True
        elif not word.startswith("-") and not word.startswith((">", "<")) and not word.isdigit():
            url = url or word
    if not url or (program == "wget" and output not in ("-", "/dev/null") and output != ""):
        return None
    said = method or ("HEAD" if head else "GET" if get or not data else "POST")
    body = "" if get else "&".join(data)
    return Request(
        said.upper(),
        url,
        tuple(headers),
        body,
        "" if output in ("/dev/null", "-") else output,
        insecure,
        follow,
        form,
        told,
    )


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
