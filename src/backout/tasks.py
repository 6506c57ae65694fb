"""Words in, exit codes out: an Invoke task for each class of `commands.options`.

`tasks.py` at the top of a repository re-exports `ns`; the console script `backout` is `main` and
runs the same tasks anywhere. Only Invoke is loaded here: everything else when a task runs, so
that `invoke --list` costs what Invoke costs.
"""

from __future__ import annotations

import atexit
import gc
import sys
from dataclasses import MISSING, Field, fields
from inspect import Parameter, Signature
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.parser.parser import Parser
from invoke.program import Program
from invoke.tasks import Task

from backout.commands.options import VERBS, Options

SELDOM = (20_000, 20, 20)
"""After so many new objects, and rounds, Python looks for garbage; see `gc.set_threshold`."""


class Verb(Task):  # type: ignore[type-arg]
    """A task made from the class of a verb's words; mistaken words exit 2."""

    def __init__(self, options: type[Options]) -> None:
        def body(c: Context, **words: Any) -> None:
            act(c, options(**{name: _frozen(value) for name, value in words.items()}))

        known = sorted(fields(options), key=lambda each: each.default is not MISSING)
        body.__name__ = options.name.rpartition(".")[2]
        body.__doc__ = options.__doc__
        body.__signature__ = Signature([_CONTEXT, *map(_parameter, known)])  # type: ignore[attr-defined] # functions may have one; Invoke reads it
        super().__init__(
            body,
            help={each.name: each.metadata["help"] for each in known},
            iterable=[each.name for each in known if _repeats(each)],
            auto_shortflags=False,  # `-h` must stay help, not become --hosts
        )
        self.options = options

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Invoke asks for these just before it reads the words: see `Doorkeeper`."""
        doorkeeper()
        explained = dict(self.help)
        arguments = super().get_arguments(ignore_unknown_help)
        self.help = explained  # Invoke empties it, and may ask again
        for each in arguments:
            if each.positional and self._spared(each):
                each.positional = False
        return arguments

    def _spared(self, argument: Argument) -> bool:
        """Whether a word that stands without its name is not said, and need not be."""
        option = self.options.spared.get(str(argument.name))
        said = sys.argv[sys.argv.index(self.options.name) + 1 :] if self._typed else []
        if not option or not any(w.partition("=")[0] == f"--{option}" for w in said):
            return False
        names = {f"--{f.name}" for f in fields(self.options) if not isinstance(f.default, bool)}
        pairs = zip(["", *said], said, strict=False)
        return not any(word[:1] != "-" and before not in names for before, word in pairs)

    @property
    def _typed(self) -> bool:
        return self.options.name in sys.argv


_CONTEXT = Parameter("c", Parameter.POSITIONAL_OR_KEYWORD)


def _parameter(field: Field[Any]) -> Parameter:
    """A word as Invoke understands it: what may be repeated is a list to it."""
    default = Parameter.empty if field.default is MISSING else field.default
    default = None if _repeats(field) else default
    return Parameter(field.name, Parameter.POSITIONAL_OR_KEYWORD, default=default)


def _repeats(field: Field[Any]) -> bool:
    return field.default == ()


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def act(c: Context, options: Options) -> None:
    """Do it, and leave with the exit code that it answers."""
    if c.config.run.dry:
        refuse_dry(options)
    # Invoke turns this off for the whole process; compiling everything anew each time is dear.
    sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
    # What is read now stays: to look through it for garbage again and again is a tenth of a start.
    gc.set_threshold(*SELDOM)
    atexit.register(gc.freeze)  # nor once more, as Python leaves
    from backout.commands import main

    code = main.main(options)
    if code:
        raise Exit(code=code)


def refuse_dry(options: Options) -> None:
    """Invoke's --dry reaches only Invoke's own runner; a deploy would go ahead all the same."""
    from backout.commands.words import mistaken

    what = "--dry is not honoured here; `plan` shows what would run, and changes nothing"
    following = f"invoke plan --target {getattr(options, 'target', '') or 'TARGET'}"
    raise mistaken(what, next=following, json=options.json)


class Family(Collection):
    """Verbs with a common name, which may be a verb by itself: `history`, `history.export`."""

    head: Verb | None = None

    def task_with_config(self, name: str | None) -> tuple[Any, dict[str, Any]]:
        """Invoke asks for no name when the common one is typed."""
        if not name and self.head:
            return self.head, self.configuration()
        return super().task_with_config(name)


def _collection() -> Collection:
    """Every verb; those with a dot under their common name."""
    top = Collection("backout")
    families: dict[str, Family] = {}
    for options in VERBS:
        common, _, name = options.name.rpartition(".")
        home = families.setdefault(common, Family(common)) if common else top
        home.add_task(Verb(options), name=name)
    for name, family in families.items():
        family.head = top.tasks.get(name)
        top.collections[name] = family
    return top


ns = _collection()


class Doorkeeper:
    """Looks at the words of plain `invoke` before Invoke does.

    Invoke leaves with 1 on words it does not know, where 1 means a bug in Backout. Just before
    it reads them it asks each task for its arguments, and there it lets an `Exit` through.
    Another repository's `ns` that merely contains these tasks is left to Invoke.
    """

    def __init__(self) -> None:
        self.looked = False

    def __call__(self) -> None:
        if self.looked:
            return
        self.looked = True
        program = Program()
        reader = Parser(initial=program.initial_context, ignore_unknown=True)
        try:
            core = reader.parse_argv(sys.argv[1:])
        except Exception:  # noqa: BLE001 - whatever it is, Invoke itself says it better
            return
        loaded = sys.modules.get(core[0].args.collection.value or "tasks")
        if getattr(loaded, "ns", None) is ns and (core.unparsed or core[0].args.help.value):
            from backout.commands.words import check

            check(core, program.initial_context, ns, binary="invoke")


doorkeeper = Doorkeeper()


class Backout(Program):
    """Invoke's program, bound to these tasks."""

    def parse_core(self, argv: list[str] | None) -> None:
        from backout.commands.words import translated

        with translated(argv or sys.argv):
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        from backout.commands.words import check

        check(self.core, self.initial_context, self.collection, binary="backout")
        super().parse_tasks()

    def _make_parser(self) -> Parser:
        from backout.commands.words import said

        if self.args.complete.value:
            return super()._make_parser()
        return Parser(initial=self.initial_context, contexts=said(self.collection, self.argv))

    def no_tasks_given(self) -> None:
        self.list_tasks()
        raise Exit


def main() -> None:
    """The console script `backout`."""
    from backout import __version__

    Backout(
        name="Backout",
        binary="backout",
        binary_names=["backout"],
        namespace=ns,
        version=__version__,
    ).run()
