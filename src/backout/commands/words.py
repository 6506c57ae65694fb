"""Mistaken words on the command line: what is wrong with them, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.parser.context import ParserContext
from invoke.parser.parser import Parser, ParseResult
from invoke.program import Program

from backout.errors import Mistakes


def check(
    core: ParseResult, initial: ParserContext, collection: Collection, *, binary: str
) -> None:
    """Raise Exit(2) when Invoke would not understand the words after the core options."""
    named = said(collection, core.unparsed)
    asked = core[0].args.help.value
    json = "--json" in core.unparsed
    if isinstance(asked, str) and asked not in (every := _names(collection.to_contexts())):
        what = f"there is no task {asked!r}{_meant(asked, every)}"
        raise mistaken(what, next=f"{binary} --list", json=json)
    parser = Parser(initial=initial, contexts=named)
    try:
        read = parser.parse_argv(list(core.unparsed))
    except ParseError as error:
        contexts = collection.to_contexts()
        what, next = _diagnosis(core.unparsed, error.context, initial, contexts, binary)
        raise mistaken(what, next=next, json=json) from error
    except ValueError as error:  # Invoke makes numbers with int()
        what = _no_number(core.unparsed, initial, collection.to_contexts())
        raise mistaken(what, next=f"{binary} --help", json=json) from error
    for task in read[1:]:
        if flag := _without_value(task, core.unparsed):
            raise mistaken(f"{flag} needs a value", next=f"{binary} --help {task.name}", json=json)
        _look_for_eaten_options(task, parser, collection, binary, json)


def said(collection: Collection, words: Sequence[str]) -> list[ParserContext]:
    """What Invoke needs to read these words: of the verbs that are among them. It copies all that
    it is given, several times."""
    return [
        ParserContext(name=name, aliases=aliases, args=collection[name].get_arguments())
        for name, aliases in collection.task_names.items()
        if not {name, *aliases}.isdisjoint(words)
    ]


@contextmanager
def translated(words: Sequence[str]) -> Iterator[None]:
    """Core options that Invoke does not understand exit 2 as well."""
    try:
        yield
    except (ParseError, ValueError) as error:
        raise mistaken(str(error), next="backout --help", json="--json" in words) from error


def mistaken(what: str, *, next: str, json: bool = False) -> Exit:
    """The exit for a mistake in the words: three lines on stderr, or one object on stdout."""
    from backout.commands import typed

    error = typed.error(Mistakes(what, where="command line", next=next))
    if not json:
        return Exit(str(error), code=error.exit_code)
    from backout.reports.errors_text import error_json

    print(error_json(error))  # noqa: T201 - there is no screen yet
    return Exit(code=error.exit_code)


def _without_value(task: ParserContext, words: Sequence[str]) -> str:
    """An option that may be repeated and was said without a value, which Invoke lets pass: it
    would mean all of them."""
    for word, following in zip(words, (*words[1:], ""), strict=True):
        repeats = word in task.flags and task.flags[word].kind is list
        if repeats and (not following or following.partition("=")[0] in task.flags):
            return word
    return ""


def _look_for_eaten_options(
    task: ParserContext, parser: Parser, collection: Collection, binary: str, json: bool
) -> None:
    """A positional word takes whatever comes, `--help` too (`invoke show --help`)."""
    for argument in task.positional_args:
        if argument.value in ("--help", "-h"):
            program = Program(binary=binary)
            program.parser, program.collection = parser, collection
            program.print_task_help(str(task.name))
            raise Exit
        if str(argument.value).startswith("-"):
            what = f"{task.name} needs {str(argument.name).upper()}, and got {argument.value!r}"
            raise mistaken(what, next=f"{binary} --help {task.name}", json=json)


def _diagnosis(
    words: Sequence[str],
    context: ParserContext | None,
    initial: ParserContext,
    contexts: Sequence[ParserContext],
    binary: str,
) -> tuple[str, str]:
    """What is wrong with the words, and what to type next."""
    task = context.name if context else None
    missing = context.missing_positional_args if context else []
    help = f"{binary} --help {task}" if task else f"{binary} --list"
    if task and missing:
        return f"{task} needs {' '.join(str(each.name).upper() for each in missing)}", help
    word = _offender(words, initial, contexts)
    flag = word.partition("=")[0]
    flags = {**initial.flags, **(context.flags if context else {})}
    if flag in flags:
        needs = "needs a value" if flags[flag].takes_value else "takes no value"
        return f"{flag} {needs}", help
    if word.startswith("-"):
        whose = f"{task} has no option" if task else "there is no option"
        if not task and any(flag in each.flags for each in contexts):
            return f"{flag} stands behind the verb that it is for", help
        return f"{whose} {flag}{_meant(flag, flags)}", help
    meant = _meant(word, _names(contexts))
    if task:
        aimed = f"; did you mean --target {word}?" if "--target" in flags and not meant else ""
        return f"{task} does not understand {word!r}{meant or aimed}", help
    verb = next((each for each in words if each in _names(contexts)), "")
    if word == "help" and verb:
        return f"there is no task {word!r}; it is an option", f"{binary} --help {verb}"
    return f"there is no task {word!r}{meant}", help


def _offender(
    words: Sequence[str], initial: ParserContext, contexts: Sequence[ParserContext]
) -> str:
    """The first word that no reading gets past."""
    among = [each for each in contexts if not set(_names([each])).isdisjoint(words)]
    parser = Parser(initial=initial, contexts=among)
    for count in range(len(words) - 1, 0, -1):
        try:
            parser.parse_argv(list(words[:count]))
        except (ParseError, ValueError):
            continue
        return words[count]
    return words[0]


def _no_number(
    words: Sequence[str], initial: ParserContext, contexts: Sequence[ParserContext]
) -> str:
    at = words.index(_offender(words, initial, contexts))
    at -= not words[at].startswith("-")
    flag, joined, value = words[at].partition("=")
    return f"{flag} needs a whole number, and got {value if joined else words[at + 1]!r}"


def _names(contexts: Sequence[ParserContext]) -> list[str]:
    return [name for each in contexts for name in (str(each.name), *each.aliases)]


def _meant(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, [each for each in known if len(each) > 2], n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
