"""What a shell may complete: run as a program of its own at every press of Tab.

It stands alone and reads little, because somebody waits for it: names of files, the keys of two
sections of an inventory, and the journal by SQLite. Its first argument is the table that
`backout completion` wrote into the shell's script, then come the words typed so far, the last of
which is to be completed. It prints one candidate a line, and leaves with `FILES` where a file is
meant and with `STRANGE` where Invoke's tasks are not Backout's.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

FILES = 3
STRANGE = 4
MARKS = ("inventories", "runbooks", "backout.yaml")
SUFFIXES = (".yaml", ".yml")
CORE = ("--help", "--list", "--version")
POSITIONAL = "-"
MOST = 100
"""How many runs or releases are offered, the newest first."""
DEEP = 8
"""So many inventories may extend one another."""


# --- the project -----------------------------------------------------------------------------


def root_of(start: str) -> str:
    """The project's directory: the nearest one at or above `start` that has inventories, runbooks
    or a tasks.py that is Backout's; `start` when there is none. Other programs have a tasks.py
    too."""
    for directory in _upwards(start):
        there = any(os.path.exists(os.path.join(directory, mark)) for mark in MARKS)
        if there or is_ours(os.path.join(directory, "tasks.py")):
            return directory
    return start


def is_ours(tasks: str) -> bool:
    """Whether a tasks.py is, or contains, Backout's."""
    try:
        with open(tasks, encoding="utf-8", errors="replace") as file:
            lines = [line.replace(",", " ").split() for line in file]
    except OSError:
        return False
    loads = (line for line in lines if len(line) > 1 and line[0] in ("from", "import"))
    return any(line[1].split(".")[0] == "backout" for line in loads)


def _upwards(start: str) -> Iterator[str]:
    yield start
    while os.path.dirname(start) != start:
        start = os.path.dirname(start)
        yield start


class Names:
    """The names that one project has, for the words typed so far."""

    def __init__(self, root: str, target: str) -> None:
        self.root = root
        self.target = target
        self.state = os.environ.get("BACKOUT_STATE") or os.path.join(root, ".backout")

    def of(self, kind: str) -> Iterable[str]:
        """Every name of that kind; a kind with bars is its own names."""
        if "|" in kind:
            return kind.split("|")
        known: dict[str, Callable[[], Iterable[str]]] = {
            "targets": lambda: _below(self._folder("inventories")),
            "runbooks": lambda: _below(self._folder("runbooks")),
            "checks": lambda: self._keys("checks"),
            "host": lambda: self._keys("hosts"),
            "hosts": lambda: {**dict.fromkeys(self._keys("hosts")), **self._groups()},
            "runs": self._runs,
            "releases": self._releases,
        }
        return known[kind]() if kind in known else ()

    def _folder(self, name: str) -> str:
        return os.path.join(self.root, name)

    def _keys(self, section: str) -> Iterable[str]:
        return dict.fromkeys(
            key for lines in self._inventories() for key in keys_of(lines, section)
        )

    def _groups(self) -> dict[str, None]:
        return dict.fromkeys(group for lines in self._inventories() for group in groups_of(lines))

    def _inventories(self) -> Iterator[list[str]]:
        """The files of the target that is named, or of all."""
        folder = self._folder("inventories")
        for name in [self.target] if self.target else _below(folder):
            yield from _laid_over(folder, name)

    def _runs(self) -> Iterable[str]:
        where, values = ("WHERE target = ?", (self.target,)) if self.target else ("", ())
        return self._asked(f"SELECT id FROM run {where} ORDER BY rowid DESC LIMIT {MOST}", values)  # noqa: S608 - our own words

    def _releases(self) -> Iterable[str]:
        asked = f"SELECT number FROM ledger WHERE target = ? ORDER BY number DESC LIMIT {MOST}"  # noqa: S608 - our own words
        return self._asked(asked, (self.target,))

    def _asked(self, query: str, values: tuple[str, ...]) -> Iterable[str]:
        journal = os.path.join(self.state, "journal.db")
        if not os.path.exists(journal):
            return ()
        import sqlite3
        from urllib.parse import quote

        # While nobody is at it there is no log beside it, and reading it would leave an empty one.
        still = "" if os.path.exists(f"{journal}-wal") else "&immutable=1"
        db = sqlite3.connect(f"file:{quote(journal)}?mode=ro{still}", uri=True, timeout=0.05)
        try:
            return [str(row[0]) for row in db.execute(query, values)]
        finally:
            db.close()


def _below(folder: str) -> list[str]:
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in files:
            name, suffix = os.path.splitext(file)
            if suffix in SUFFIXES and not name.startswith("."):
                found.append(os.path.relpath(os.path.join(place, name), folder))
    return sorted(found)


# --- inventories -----------------------------------------------------------------------------


def _laid_over(folder: str, name: str) -> Iterator[list[str]]:
    """The lines of an inventory, and of what it extends."""
    places = [name] if name.endswith(SUFFIXES) else []
    places += [os.path.join(folder, name + suffix) for suffix in SUFFIXES]
    for _ in range(DEEP):
        path = next((place for place in places if os.path.isfile(place)), "")
        if not path:
            return
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
        yield lines
        extends = next((line[8:].strip(" '\"") for line in lines if line[:8] == "extends:"), "")
        beside = (os.path.dirname(path), folder)
        places = [os.path.join(at, extends + end) for at in beside for end in (*SUFFIXES, "")]
        places = places if extends else []


def keys_of(lines: Sequence[str], section: str) -> Iterator[str]:
    """The keys below a key of a file's top, as far as they can be seen without reading YAML."""
    body = _section(lines, section)
    flow = bool(body) and body[0].lstrip().startswith("{")
    return _in_braces("\n".join(body)) if flow else _in_lines(body)


def groups_of(lines: Sequence[str]) -> Iterator[str]:
    """The groups of an inventory's hosts, as far as they can be seen."""
    listing = False
    for line in _section(lines, "hosts"):
        item = line.lstrip()
        if listing and item.startswith("- "):
            yield item[2:].strip(" '\"")
            continue
        _, key, rest = line.partition("groups:")
        listing = bool(key) and not rest.strip()
        while rest.lstrip().startswith("["):
            inside, _, after = rest.lstrip()[1:].partition("]")
            yield from (each.strip(" '\"") for each in inside.split(","))
            rest = after.partition("groups:")[2]


def _section(lines: Sequence[str], section: str) -> list[str]:
    """What stands below a key of the top, or behind it."""
    body: list[str] = []
    inside = False
    for line in lines:
        bare = line.split(" #")[0].rstrip()
        if not bare or bare.lstrip().startswith("#"):
            continue
        if not line[0].isspace() and not (inside and line[0] == "}"):
            inside = bare.startswith(f"{section}:")
            bare = bare[len(section) + 1 :].lstrip()
        if inside and bare:
            body.append(bare)
    return body


def _in_lines(body: Sequence[str]) -> Iterator[str]:
    indent = len(body[0]) - len(body[0].lstrip()) if body else 0
    for line in body:
        if len(line) - len(line.lstrip()) == indent and ":" in line:
            yield line.partition(":")[0].strip(" '\"")


def _in_braces(text: str) -> Iterator[str]:
    depth, word = 0, ""
    for char in text:
        if char in "{[":
            depth, word = depth + 1, ""
        elif char in "}]":
            depth, word = depth - 1, ""
        elif char == ",":
            word = ""
        elif char == ":" and depth == 1 and word.strip():
            yield word.strip(" \n'\"")
            word = ":"
        elif word != ":":
            word += char


# --- the words typed -------------------------------------------------------------------------


def candidates(table: str, words: Sequence[str], names: Callable[[str], Names]) -> Iterator[str]:
    """What the last word may become. Raises SystemExit with `FILES` where a file is meant."""
    verbs = {line.split()[0]: line.split()[1:] for line in table.splitlines() if line}
    # A shell may take `--target=prod` apart.
    *before, word = [each for each in words if each != "="] + [""] * (words[-1] == "=")
    verb = next((each for each in before if each in verbs), "")
    if not verb or before[-1:] == ["--help"]:
        offered: Iterable[str] = CORE if word.startswith("-") else verbs
        yield from (each for each in offered if each.startswith(word))
        return
    options = _options(verbs[verb])
    option, joined, value = word.partition("=") if word.startswith("-") else ("", "", word)
    if option and not joined:
        yield from (each for each in options if each.startswith(word) and each != POSITIONAL)
        return
    if not joined:
        option = before[-1] if options.get(before[-1]) is not None else POSITIONAL
    kind = options.get(option) or ""
    if kind == "files":
        raise SystemExit(FILES)
    start = f"{option}=" if joined else ""
    listed, comma, value = value.rpartition(",") if kind == "hosts" else ("", "", value)
    known = names(_target(before)).of(kind)
    yield from (f"{start}{listed}{comma}{name}" for name in known if name.startswith(value))


def _options(words: Sequence[str]) -> dict[str, str | None]:
    """Option -> the kind of its value, which may be nobody's; None for one that takes none."""
    parted = (word.partition("=") for word in words)
    return {option: kind if takes else None for option, takes, kind in parted}


def _target(words: Sequence[str]) -> str:
    named = os.environ.get("BACKOUT_TARGET", "")
    for number, word in enumerate(words):
        if word.startswith("--target="):
            named = word.partition("=")[2]
        elif word == "--target" and words[number + 1 :]:
            named = words[number + 1]
    return named


def main(table: str, program: str, *words: str) -> int:
    """Print the candidates."""
    here = os.getcwd()
    if os.path.basename(program) != "backout":
        tasks = (os.path.join(directory, "tasks.py") for directory in _upwards(here))
        if not is_ours(next((path for path in tasks if os.path.isfile(path)), "")):
            return STRANGE
    root = root_of(here)
    found = dict.fromkeys(candidates(table, words or ("",), lambda target: Names(root, target)))
    print("\n".join(found))  # noqa: T201 - this is all it does
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
