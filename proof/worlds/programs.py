"""The commands that our texts use, as these machines have them."""

# ruff: noqa: ARG001 - every program has the form of all of them

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from proof.worlds.brackets import holds
from proof.worlds.commands import Leave, Loop, Return
from proof.worlds.files import File, Folder
from proof.worlds.shell import compiled, said
from proof.worlds.words import NotTold

if TYPE_CHECKING:
    from proof.worlds.process import Process

Program = Callable[["Process", list[str]], int]


def told(process: Process, args: list[str]) -> int:
    process.write(1, " ".join(args) + "\n")
    return 0


def formatted(process: Process, args: list[str]) -> int:
    form, rest = args[0].replace("\\n", "\n"), list(args[1:])
    if width := re.fullmatch(r"%(\d+)s", form):
        process.write(1, (rest[0] if rest else "").rjust(int(width[1])))
        return 0
    if "%" in _FIELD.sub("", form):
        raise NotTold(f"printf {form!r}")
    while True:
        process.write(1, _FIELD.sub(lambda field: _filled(field, rest), form))
        if not rest or not _FIELD.search(form):
            return 0


_FIELD = re.compile(r"%(?:s|0(\d+)d)")


def _filled(field: re.Match[str], rest: list[str]) -> str:
    """The next of the rest, as a field wants it."""
    value = rest.pop(0) if rest else ""
    return value.zfill(int(field[1])) if field[1] else value


def read(process: Process, args: list[str]) -> int:
    names = [each for each in args if each != "-r"]
    line, whole = process.reads().line()
    marks = process.vars.get("IFS", " \t\n")
    blanks = _blanks(marks)
    for name in names[:-1]:
        line = line.lstrip(blanks)
        found = _any_of(marks).search(line)
        cut = found.start() if found else len(line)
        process.vars[name] = line[:cut]
        line = line[cut:].lstrip(blanks)
        if line[:1] and line[0] in marks:
            line = line[1:]
    process.vars[names[-1]] = line.strip(blanks)
    return 0 if whole else 1


@cache
def _any_of(marks: str) -> re.Pattern[str]:
    return re.compile(f"[{re.escape(marks)}]" if marks else "(?!)")


@cache
def _blanks(marks: str) -> str:
    return "".join(mark for mark in marks if mark.isspace())


def test(process: Process, args: list[str]) -> int:
    return 0 if holds(process, args) else 1


def bracket(process: Process, args: list[str]) -> int:
    if args[-1] != "]":
        raise NotTold(f"[ {args}")
    return 0 if holds(process, args[:-1]) else 1


def options(process: Process, args: list[str]) -> int:
    for number, each in enumerate(args):
        if each == "--":
            process.args = args[number + 1 :]
            return 0
        if each in ("-e", "+e"):
            process.strict = each[0] == "-"
        elif each in ("-C", "+C"):
            process.careful = each[0] == "-"
        else:
            process.args = args[number:]
            return 0
    return 0


def leave(process: Process, args: list[str]) -> int:
    raise Leave(int(args[0]) if args else process.code)


def back(process: Process, args: list[str]) -> int:
    raise Return(int(args[0]) if args else process.code)


def onward(process: Process, args: list[str]) -> int:
    raise Loop(again=True)


def broken(process: Process, args: list[str]) -> int:
    raise Loop(again=False)


def evaluated(process: Process, args: list[str]) -> int:
    text = " ".join(args)
    if "\n" not in text:
        return compiled(text)(process)
    return said(text, process)(process)


def nothing(process: Process, args: list[str]) -> int:
    return 0


def wrong(process: Process, args: list[str]) -> int:
    return 1


def folder(process: Process, args: list[str]) -> int:
    machine, parents = process.machine, "-p" in args
    for path in [each for each in args if each not in ("-p", "--")]:
        machine.point()
        found = machine.disk.find(path, process.cwd)
        if found is not None and not (parents and isinstance(found, Folder)):
            return 1
        steps = path.split("/")
        names = ["/".join(steps[: n + 1]) for n in range(len(steps))] if parents else [path]
        for each in names:
            missing = each and machine.disk.find(each, process.cwd) is None
            if missing and not machine.disk.make(each, process.cwd):
                return 1
    machine.point()
    return 0


def removed(process: Process, args: list[str]) -> int:
    machine = process.machine
    for path in [each for each in args if each[:1] != "-"]:
        found = machine.disk.find(path, process.cwd)
        if isinstance(found, Folder):
            for name in list(found.names):  # it vanishes file by file
                machine.point()
                if name in found.names:
                    machine.disk.remove(found, name)
        machine.point()
        holder, name = machine.disk.place(path, process.cwd)
        if holder is not None and name in holder.names:
            machine.disk.remove(holder, name)
    machine.point()
    return 0


def emptied(process: Process, args: list[str]) -> int:
    machine = process.machine
    machine.point()
    found = machine.disk.find(args[0], process.cwd)
    holder, name = machine.disk.place(args[0], process.cwd)
    if holder is None or not isinstance(found, Folder) or found.names:
        return 1
    machine.disk.remove(holder, name)
    machine.point()
    return 0


def moved(process: Process, args: list[str]) -> int:
    machine = process.machine
    exact = "-T" in args
    *sources, into = [each for each in args if each not in ("-T", "-f")]
    machine.point()
    for source in sources:
        holder, name = machine.disk.place(source, process.cwd)
        if holder is None or name not in holder.names:
            return 1
        goal, called = machine.disk.place(into, process.cwd)
        there = machine.disk.find(into, process.cwd)
        if isinstance(there, Folder) and not exact:
            goal, called = there, name
        elif isinstance(there, Folder) and there.names:
            return 1
        if goal is None:
            return 1
        found = holder.names.pop(name)
        if isinstance(found, Folder):
            found.parent = goal
        if called in goal.names:
            machine.disk.remove(goal, called)
        goal.names[called] = found
    machine.point()
    return 0


def shown(process: Process, args: list[str]) -> int:
    code = 0
    for path in args:
        text = process.machine.text(path, process.cwd)
        if text is None:
            process.write(2, f"cat: {path}: No such file\n")
            code = 1
        else:
            process.write(1, text)
    return code if args else _passed(process)


def _passed(process: Process) -> int:
    process.write(1, process.reads().rest())
    return 0


def date(process: Process, args: list[str]) -> int:
    if args[0] == "-r":
        found = process.machine.found(args[1], process.cwd)
        if not isinstance(found, File):
            return 1
        process.write(1, f"{int(found.at)}\n")
    else:
        process.write(1, f"{int(process.machine.wall())}\n")
    return 0


def synced(process: Process, args: list[str]) -> int:
    process.machine.point()
    process.machine.disk.fresh.clear()
    process.machine.point()
    return 0


def end_of(process: Process, args: list[str]) -> int:
    return _piece(process, args, lambda text, n, sign: text[n - 1 :] if sign == "+" else text[-n:])


def start_of(process: Process, args: list[str]) -> int:
    return _piece(process, args, lambda text, n, _: text[:n])


def _piece(process: Process, args: list[str], cut: Callable[[str, int, str], str]) -> int:
    if args[0] == "-n":
        return _passed(process)
    if args[0] != "-c":
        raise NotTold(f"{args}")
    files = [each for each in args[2:] if each != "--"]
    text = process.machine.text(files[0], process.cwd) if files else process.reads().rest()
    if text is None:
        return 1
    sign = args[1][:1] if args[1][:1] in "+-" else ""
    process.write(1, cut(text, int(args[1].lstrip("+-")), sign))
    return 0


def killed(process: Process, args: list[str]) -> int:
    """A group that has ended is none."""
    how, group = args
    found = process.machine.processes.get(int(group.lstrip("-")))
    if found is None:
        return 1
    if how != "-0":
        process.machine.end(found)
    return 0


def slept(process: Process, args: list[str]) -> int:
    process.machine.baton.sleep(float(args[0]))
    return 0


def entered(process: Process, args: list[str]) -> int:
    path = next(each for each in args if each not in ("--", "-P"))
    found = process.machine.disk.find(path, process.cwd)
    if not isinstance(found, Folder):
        process.write(2, f"cd: can't cd to {path}\n")
        return 2
    process.cwd = found
    process.vars["PWD"] = path
    return 0


def where(process: Process, args: list[str]) -> int:
    process.write(1, process.vars.get("PWD", "/") + "\n")
    return 0


def exported(process: Process, args: list[str]) -> int:
    for each in args:
        name, sign, value = each.partition("=")
        if sign:
            process.vars[name] = value
    return 0


def nobody(process: Process, args: list[str]) -> int:
    process.write(1, "0\n")
    return 0


def disk(process: Process, args: list[str]) -> int:
    free = process.machine.disk.free
    process.write(
        1, f"Filesystem Blocks Used Free Full Mounted\n/dev/sda 9 9 {min(free or 0, 9)} 100% /\n"
    )
    return 0


PROGRAMS: dict[str, Program] = {
    "echo": told, "printf": formatted, "read": read, "[": bracket, "test": test, "set": options,
    "exit": leave, "return": back, "continue": onward, "break": broken, "eval": evaluated,
    ":": nothing, "true": nothing, "false": wrong, "trap": nothing, "umask": nothing,
    "chmod": nothing, "stat": nothing, "find": nothing, "mkdir": folder, "rm": removed,
    "mv": moved, "cat": shown, "date": date, "sync": synced, "tail": end_of, "head": start_of,
    "kill": killed, "sleep": slept, "cd": entered, "pwd": where, "export": exported, "id": nobody,
    "df": disk, "rmdir": emptied,
}  # fmt: skip
"""By name. `stat` and `find` have nothing to tell: these folders are nobody else's, and their notes
are few and new."""
