"""What steps, checks and services are called, and what a command's text says of its nature."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from backout.documents.classify import backend_of
from backout.documents.nouns import Found
from backout.documents.phases import folded
from backout.documents.placeholders import found, open_quote


def name(each: Found) -> str:
    said = each.name or re.sub(r"^\d+[.)]\s*", "", each.comment) or each.text.partition("\n")[0]
    said = shown(said.rstrip(":").strip(), 60).replace("{{", "{ {").replace("}}", "} }")
    return said or "Step"


def shown(text: str, most: int = 120) -> str:
    """In one line, without what could disguise it."""
    flat = re.sub(
        r"\s+", " ", "".join(sign if sign.isprintable() else " " for sign in text)
    ).strip()
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def escaped(text: str) -> str:
    """Text that a template reads as it is."""
    return text.replace("{{", "{{ '{{' }}")


def literal(text: str, before: str = "") -> str:
    """Shell text that a template reads as it is, behind `before`: braces apart, the same word."""
    pieces, at, quote = list[str](), 0, open_quote(before, len(before))
    for brace in re.finditer(r"\{(?=\{)", text):
        piece, at = text[at : brace.end()], brace.end()
        quote = open_quote(piece, len(piece), quote)
        pieces += [piece, (quote or '"') * 2]
    return "".join((*pieces, text[at:]))


_VERBS = frozenset(
    """
    compose container restart reload start stop up run service rm down all ps:restart
    startOrReload startOrRestart daemon-reload kill delete save status update reread pull push
    build tag login ps logs exec
    """.split()  # noqa: SIM905 - what is asked of services, as a list of words
)
_PROGRAM = r"[\w.-]+:(?:\*|[\w.-]+)"
"""A program of a group, or all of them, as supervisorctl spells them."""


def service_name(each: Found) -> str:
    if each.backend == "heroku":
        return _heroku_app(each)
    restarting = [c for c in each.commands if backend_of((c,)) == each.backend]
    for command in restarting or each.commands:
        words = [w for w in command.words[1:] if not w.startswith("-") and w not in _VERBS]
        if command.head == "service":
            words = words[:1]
        for word in words:
            if command.head == "supervisorctl" and re.fullmatch(_PROGRAM, word):
                return word
            if (
                re.fullmatch(r"[A-Za-z0-9][\w.@-]*", word)
                and not list(found(word, 1))
                and not word.endswith((".js", ".json", ".yml", ".yaml", ".cjs"))
            ):
                return word.removesuffix(".service")
    return ""


def _heroku_app(each: Found) -> str:
    """The application: what stands bare is a process of it."""
    said = re.search(r"(?:\s-a\s*|\s--app[= ])([a-z][a-z0-9-]*)", each.script)
    return said[1] if said else ""


def check_name(each: Found, taken: Mapping[str, Any]) -> str:
    if each.requests:
        url = re.sub(r"^\w+://[^/]*", "", each.requests[0].url).partition("?")[0]
        parts = [
            p for p in re.findall(r"[A-Za-z][A-Za-z0-9-]*", url) if p not in ("api", "v1", "v2")
        ]
        base = parts[-1] if parts else "alive"
    else:
        base = "-".join(re.findall(r"[A-Za-z0-9]+", each.text)[:3]) or "check"
    base = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", base).lower()[:40].strip("-") or "check"
    name, count = base, 2
    while name in taken:
        name, count = f"{base}-{count}", count + 1
    return name


_STATUS = re.compile(
    r"(?<![\w.:/-])([1-5]\d\d)\b(?![.:/-]?\w|\s*(?:ms|s|sec\w*|min\w*|[KMG]i?B|bytes|requests?|%)\b)"
)
_DENIED = re.compile(
    r"\b(?:not?|never|without|isn.t|nicht|kein\w*|nie|pas|sans|sin|nunca|nao|sem|instead of)\b"
)


def expected(each: Found) -> str:
    """The one status that the comment or the words nearby ask for; else that it is no error."""
    said = re.sub(r"https?://\S+|\bHTTP/[\d.]+", "", " ".join((each.comment, each.lead)))
    codes = {match[1] for match in _STATUS.finditer(said)}
    if len(codes) == 1 and not _DENIED.search(folded(said)):
        return f"status == {codes.pop()}"
    return "status < 400" if not each.requests[0].follow else "status == 200"


def akin(forward: str, back: str) -> bool:
    """Whether one takes the other back: the same tool on the same thing."""
    family = (
        r"migrat\w*|alembic|knex|flyway|liquibase|psql|mysql|kubectl|helm|terraform|"
        r"maintenance|artisan (?:up|down)|prisma|db:\w+|crontab|nginx|ln -s\w*"
    )
    mine, theirs = (
        {m.lower()[:7] for m in re.findall(family, forward)},
        {m.lower()[:7] for m in re.findall(family, back)},
    )
    return bool(mine & theirs)


def inverse(text: str) -> str:
    for form, by in _INVERSE:
        if re.match(form, text):
            return re.sub(form, by, text)
    return ""


_INVERSE: tuple[tuple[str, str], ...] = (
    (r"^(sudo )?systemctl enable (?:--now )?(\S+)$", r"\1systemctl disable \2"),
    (r"^heroku maintenance:on(.*)$", r"heroku maintenance:off\1"),
    (r"^php artisan down\b.*$", r"php artisan up"),
    (r"^kubectl set image (deployment/\S+|deployment \S+).*$", r"kubectl rollout undo \1"),
    (r"^git tag (?:-[asf] )*(?!-)(\S+).*$", r"git tag -d \1 || true"),
    (
        r"^git push (?:-q )?(\S+) (?:refs/tags/|tag )?(v?\d\S*)$",
        r"git push --delete \1 refs/tags/\2",
    ),
)


def fingerprint(lines: Sequence[str]) -> str:
    """What lines say, whatever ends them."""
    return sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def mapped(value: object, put: Any) -> Any:
    if isinstance(value, str):
        return put(value)
    if isinstance(value, dict):
        return {put(str(key)): mapped(inner, put) for key, inner in value.items()}
    return [mapped(inner, put) for inner in value] if isinstance(value, list) else value
