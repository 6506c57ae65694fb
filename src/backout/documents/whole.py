"""Whether a whole statement is of one kind: then a step or a check of that kind stands for it.

`git push && npm publish` is no push: what a step of a kind does not do would be lost. Such a
statement is taken as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from urllib.parse import urlsplit

from backout.documents.classify import follows
from backout.documents.nouns import Found
from backout.documents.phases import IDLE
from backout.documents.requests import Request
from backout.documents.words import Simple, simple, tokens

_BRINGS = re.compile(
    r"^git (?:pull|fetch|merge|reset|checkout|switch|status|log|submodule update)\b"
)
_STARTS = frozenset(
    """
    restart reload up start try-restart reload-or-restart daemon-reload reread update ps:restart
    dyno:restart startOrRestart startOrReload startOrGracefulReload gracefulReload
    """.split()  # noqa: SIM905 - verbs, as a list of words
)
_STOPS = frozenset(("stop", "down"))
_OTHERWISE = re.compile(r"^--(?:pull|scale|no-deps|profile|env-file|signal|now)\b|^-V$")
"""Options of a restart that a `restart` step would not heed."""
_MANAGERS = frozenset(("systemctl", "supervisorctl", "pm2", "docker", "docker-compose"))
_FLAGS = frozenset(
    """
    -d --detach --build --force-recreate --remove-orphans --update-env --no-block --quiet -q --user
    --wait --no-deps --force -f
    """.split()  # noqa: SIM905 - options without a value, as a list of words
)
_JUDGES = frozenset(("!", "if", "for", "case", "select", "while", "until", "&"))
_SHOWS = frozenset(
    ("head", "tail", "cat", "less", "more", "jq", "json_pp", "exit", "false", "done")
)
_COMPOUND = frozenset(("for", "while", "until", "if", "case", "select", "(", ")", "{", "}"))
_CHAINED = re.compile(r"\s*(?:&&|;|\n)\s*")
_EVERY = re.compile(r"-e\b|--exit-status|\berror\b|\bhalt")
_NEARBY = re.compile(r"^(?:localhost|127\.[\d.]+|::1|0\.0\.0\.0)$")


def only(each: Found, of: Callable[[Simple], bool]) -> bool:
    """Whether every command of the statement is of a kind, or does nothing."""
    own = acting(each)
    return bool(own) and all(map(of, own)) and "|" not in tokens(each.script)


def acting(each: Found) -> list[Simple]:
    """The commands of a statement, without those that do nothing."""
    return [c for c in each.commands if c.head not in IDLE or {">", ">>"} & {*c.words}]


def goes_there(each: Found) -> bool:
    """Whether a statement reaches a machine by itself, from this one: `ssh web1 make`."""
    return any(command.host for command in each.commands)


def without_tail(each: Found) -> Found:
    """`pm2 restart api && pm2 logs` without the look at its end, which is kept apart."""
    if "follows" not in each.flags or _COMPOUND & {*tokens(each.script)}:
        return each
    for cut in reversed([*_CHAINED.finditer(each.script)]):
        script, tail = each.script[: cut.start()], each.script[cut.end() :]
        acts, looks = simple(script), simple(tail)
        if (*acts, *looks) != each.commands or not all(map(follows, looks)):
            return each
        if acts and not any(map(follows, acts)):
            return replace(each, script=script, tail=tail, commands=acts)
    return each


def commits(command: Simple) -> bool:
    return _git(command).startswith(("git add", "git stage", "git rm", "git commit"))


_TAG = re.compile(r"(?:refs/tags/.*|tag|v?\d+(?:\.\d+)+(?:[-.+]\w+)*|v\d+)")
"""What is pushed as a tag, by its name."""


def pushes(command: Simple) -> bool:
    """Whether it sends a branch to where it belongs, and nothing else there."""
    options = {word for word in command.words[2:] if word.startswith("-")}
    sent = [word for word in command.words[2:] if not word.startswith("-")][1:]
    alone = len(sent) < 2 and not any(map(_TAG.fullmatch, sent))
    return (
        _git(command).startswith("git push")
        and alone
        and options
        <= {*("-u", "--set-upstream", "-q", "--quiet", "-v", "--verbose", "--follow-tags")}
    )


def brings(command: Simple) -> bool:
    """Whether it brings another commit into a working copy, all of it."""
    return bool(_BRINGS.match(_git(command))) and "--" not in command.words


def restarts(command: Simple) -> bool:
    """Whether a service runs anew after it, and nothing else is another."""
    otherwise = any(map(_OTHERWISE.match, command.words))
    return bool({*command.words[1:]} & _STARTS) and not otherwise and not _several(command)


def _several(command: Simple) -> bool:
    """Whether more services than one are named behind the verb."""
    verb = next((at for at, word in enumerate(command.words) if at and word in _STARTS), 0)
    behind = pairwise(command.words[verb:])
    named = [
        word
        for before, word in behind
        if re.fullmatch(r"[A-Za-z0-9][\w.@:*-]*", word)
        and (before[0] != "-" or before in _FLAGS)
        and word not in _STARTS
    ]
    return command.head in _MANAGERS and len(named) > 1


def stops(command: Simple) -> bool:
    return bool({*command.words[1:]} & _STOPS)


def _git(command: Simple) -> str:
    return re.sub(r"^git -C \S+", "git", command.text)


def asks(each: Found) -> Request | None:
    """The one request that the statement makes; None where something else judges its answer, or
    where it is made on another machine, or by more than an `http` check can say."""
    looks = [request for request in each.requests if not request.file]
    if len(each.requests) != 1 or not looks or not looks[0].whole:
        return None
    if _NEARBY.match(urlsplit(_absolute(looks[0].url)).hostname or "") and each.host:
        return None
    return looks[0] if _only_asks(each) else None


def _absolute(url: str) -> str:
    return url if "://" in url else f"http://{url}"


def _only_asks(each: Found) -> bool:
    said = [word for word in tokens(each.script) if word.strip()]
    if said[:1] == ["until"] or said[:2] == ["while", "!"]:
        said = said[1 + (said[0] == "while") :]
    if _JUDGES & {*said} or "<<" in each.script:
        return False
    own = acting(each)
    calls = [command for command in own if command.head in ("curl", "wget")]
    return (
        len(calls) == 1 and calls[0] is own[0] and not calls[0].host and all(map(_shows, own[1:]))
    )


def _shows(command: Simple) -> bool:
    """Whether it shows an answer, and says nothing of whether it is good."""
    if command.text.endswith("-m json.tool"):
        return True
    return command.head in _SHOWS and not (command.head == "jq" and _EVERY.search(command.text))


_TAIL = re.compile(
    r"""\s*(?:\|\||&&|;)\s*(?:echo|printf|true|:|exit\s+0)(?![\w-])(?:"[^"]*"|'[^']*'|[^|&;"'\n])*$"""
)


def judging(script: str) -> str:
    """A look without what is said behind it: `|| echo down` would make it one that never fails."""
    while (bare := _TAIL.sub("", script)) != script and bare:
        script = bare
    return script


def failing(each: Found) -> str:
    """The script of a look that is one request: an answer that is an error fails it."""
    own = acting(each)
    alone = len(own) == 1 and own[0].head == "curl" and not _JUDGES & {*tokens(each.script)}
    return re.sub(r"\bcurl\b", "curl --fail", each.script, count=1) if alone else each.script
