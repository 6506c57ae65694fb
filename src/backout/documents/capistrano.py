"""A `deploy.rb` of Capistrano -> the blocks of what its tasks execute; all else named by line."""

from __future__ import annotations

import re

from backout.documents.markdown import Block, lines_of

_TASK = re.compile(r"^\s*(?:task|after|before)\s+[:'\"](?P<name>[\w:]+)")
_DESC = re.compile(r"^\s*desc\s+['\"](?P<text>[^'\"]*)['\"]")
_WITHIN = re.compile(r"^\s*within\s+(?P<where>.+?)\s+do\b")
_ON = re.compile(r"^\s*on\s+\(?\s*(?:roles?|release_roles|primary)\b.*\bdo\b")
_EXECUTE = re.compile(r"^\s*(?P<how>execute|run|sudo)[ (]\s*(?P<words>.+?)\)?\s*$")
_WORD = re.compile(
    r"\s*(?::(?P<symbol>[\w-]+)|\"(?P<double>(?:[^\"\\]|\\.)*)\"|'(?P<single>[^']*)')\s*(?:,|$)"
)
_PUT = re.compile(r"#\{\s*(?:fetch\(:)?(?P<name>\w+)\)?\s*\}")
_END = re.compile(r"^\s*end\b")
_OPENS = re.compile(r"\bdo\b(?:\s*\|[^|]*\|)?\s*$|^\s*(?:if|unless|case|begin)\b")
_CONDITION = re.compile(r"^\s*(?:if|unless|case)\b")


def blocks(text: str) -> tuple[Block, ...]:
    """One block for each thing that a task executes."""
    made = list[Block]()
    open_: list[tuple[str, str]] = []
    told = ""
    for number, line in enumerate(lines_of(text), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if found := _DESC.match(line):
            told = found["text"]
        made.append(_block(number, line, open_, told))
        if _OPENS.search(line):
            open_.append(_opened(line))
        elif _END.match(line) and open_:
            open_.pop()
    return tuple(made)


def _opened(line: str) -> tuple[str, str]:
    for kind, form, part in (("task", _TASK, "name"), ("within", _WITHIN, "where")):
        if found := form.match(line):
            return kind, found[part]
    if _ON.match(line):
        return "on", "all"
    return ("if", "") if _CONDITION.match(line) else ("", "")


def _block(number: int, line: str, open_: list[tuple[str, str]], told: str) -> Block:
    found = _EXECUTE.match(line)
    if not found:
        return Block("left", number, (line,), attributes="Capistrano's own: nothing of a shell")
    command = _command(found["words"])
    within = dict(open_)
    if not command or "if" in within:
        return Block("left", number, (line,), attributes="Ruby alone evaluates it")
    command = f"sudo {command}" if found["how"] == "sudo" else command
    name = within.get("task", "")
    cwd = _put(within.get("within", "").strip("\"'"))
    trail = ("Capistrano", name) if name else ("Capistrano",)
    host = "all" if "on" in within or found["how"] != "execute" else ""
    return Block("code", number, (command,), "sh", "", trail, told or name, told, cwd, host)


def _command(words: str) -> str:
    """The words of `execute` as a line of shell; nothing where Ruby decides them."""
    said, at = list[str](), 0
    while at < len(words):
        found = _WORD.match(words, at)
        if not found:
            return ""
        said.append(found["symbol"] or found["double"] or found["single"] or "")
        at = found.end()
    text = _put(" ".join(said))
    return "" if "#{" in text else text.replace('\\"', '"')


def _put(text: str) -> str:
    """With a blank for what Capistrano puts in."""
    return _PUT.sub(lambda found: f"<{found['name']}>", text)
