"""The pieces that a runbook and an inventory are made of: checks, commits, the open questions."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from itertools import pairwise

from backout.documents.bindings import Bindings, Data
from backout.documents.naming import expected, fingerprint, literal, mapped, shown
from backout.documents.nouns import Found, Question, Reading
from backout.documents.placeholders import found
from backout.documents.requests import Request

FORM = "application/x-www-form-urlencoded"
"""What curl says of a body of which the note says nothing."""
OPEN = "What the note leaves open is decided"


def follows(reading: Reading, first: int, last: int) -> Data:
    """Which lines of the note something follows, and what they say."""
    said = reading.lines[first - 1 : last]
    lines = str(first) if first == last else f"{first}-{last}"
    return {
        "lines": lines,
        "sha256": fingerprint(said),
        "said": shown(said[0], 80).replace("{{", "{ {"),
    }


def http_check(blanks: Bindings, each: Found, request: Request) -> Data:
    """A request as a check: its expectation is what the words nearby say."""

    def put(text: str) -> str:
        return blanks.checked(text, each)

    url = request.url if "://" in request.url else f"http://{request.url}"
    http: Data = {"url": put(url)}
    if request.method != "GET":
        http["method"] = request.method
    body = request.json()
    headers = {
        put(k): put(v)
        for k, v in request.headers
        if not (body is not None and k.lower() == "content-type")
    }
    if headers:
        http["headers"] = headers
    if body is not None:
        http["json"] = mapped(body, put)
    elif request.body:
        http["body"] = put(request.body)
        if not any(name.lower() == "content-type" for name in headers):
            http["headers"] = {**headers, "Content-Type": FORM}
    if request.insecure:
        http["insecure"] = True
    if request.follow:
        http["follow"] = 5
    if request.creates:
        asked = "this request creates something: how is it cleaned up? (cleanup:)"
        blanks.ask(each, asked, "cleanup")
    elif request.changes:
        asked = "this request changes something: how is it taken back? (cleanup:)"
        blanks.ask(each, asked, "cleanup")
    return {"http": http, "expect": [expected(each)]}


def into_commit(options: Data, each: Found, blanks: Bindings) -> None:
    """Take the paths and the message of `git add` and `git commit` up."""
    for command in each.commands:
        words = list(command.words[1:])
        if words[:1] in (["add"], ["stage"], ["rm"]):
            paths = [w for w in words[1:] if not w.startswith("-") and w not in (".", "*", ":/")]
            options["paths"] = [
                *options.get("paths", []),
                *(
                    blanks.checked(p, each) if not list(found(p, 1)) else blanks.bound(p, each)
                    for p in paths
                ),
            ]
            if not options["paths"]:
                del options["paths"]
        elif words[:1] == ["commit"]:
            message = next(
                (b for a, b in pairwise(words) if re.fullmatch(r"-a?m|--message", a)),
                "",
            )
            if message:
                options["message"] = blanks.bound(message, each)


def refusal(source: str, questions: Sequence[Question]) -> Data:
    """The step that refuses until a person has decided."""
    told = [shlex.quote(shown(f"{source}:{q.line}: {q.ask}", 300)) for q in questions]
    script = " \\\n  ".join(("printf '%s\\n' >&2", *told)) + "\nexit 1\n"
    return {"name": OPEN, "run": literal(script), "readonly": True}
