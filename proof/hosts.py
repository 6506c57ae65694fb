"""What happens on the host: a command on its way from its arrival to its end, and the power."""

from __future__ import annotations

from collections.abc import Iterator

from proof.world import BENEATH, BESIDE, Command, Guards, State

Move = tuple[str, State]
"""What happened, in words, and what is then."""

FROM = {"act": "the command", "undo": "the undo"}


def name(command: Command) -> str:
    try_ = f" (attempt {command.attempt})" if command.attempt > 1 else ""
    return f"{FROM[command.kind]} of run {command.run}{try_}"


def moves(state: State, guards: Guards) -> Iterator[Move]:
    """Every next thing that the host may do."""
    for command in state.commands:
        yield from _STEPS[command.at](state, guards, command)
        if state.left.cuts:
            yield from _cut(state, command)
    if state.left.powers and (state.commands or state.notes):
        yield from _power_loss(state)


def _sent(state: State, guards: Guards, command: Command) -> Iterator[Move]:
    if _refused(state, command, asked=guards.token):
        yield (
            f"{name(command)} finds that its lease is gone: it does nothing",
            _fenced(state, command),
        )
    else:
        looked = " and finds its lease there" if state.left.leased and guards.token else ""
        yield f"{name(command)} arrives{looked}", state.moved(command, command._replace(at="seen"))


def _seen(state: State, guards: Guards, command: Command) -> Iterator[Move]:  # noqa: ARG001 - as the others
    if state.note(command.key):
        yield (
            f"{name(command)} finds a note of its own: it does nothing",
            state.moved(command, None),
        )
    else:
        new = state.moved(command, command._replace(at="noted"))
        yield f"{name(command)} makes its note", new.noted(command.key, "begun")


def _noted(state: State, guards: Guards, command: Command) -> Iterator[Move]:
    if guards.void and command.key in state.voids:
        new = state.moved(command, None).noted(command.key, "void")
        yield f"{name(command)} was declared void: it does nothing", new
    else:
        yield (
            f"{name(command)} was not declared void",
            state.moved(command, command._replace(at="valid")),
        )


def _valid(state: State, guards: Guards, command: Command) -> Iterator[Move]:
    if _refused(state, command, asked=guards.again):
        new = _fenced(state, command).noted(command.key, "void")
        yield f"{name(command)} finds its lease gone after all: it does nothing", new
    else:
        yield f"{name(command)} begins to act", _acting(state, command)


def _acting(state: State, command: Command) -> State:
    beside = any(other.at in ("acting", "acted") for other in state.commands)
    run, order = command.run, state.order
    wrong = BESIDE if beside else BENEATH if run in order and order[-1] != run else ""
    order = order if order and order[-1] == run else (*order, run)
    new = state.moved(command, command._replace(at="acting"))
    return new._replace(order=order, wrong=wrong)


def _act(state: State, guards: Guards, command: Command) -> Iterator[Move]:  # noqa: ARG001 - as the others
    new = state.moved(command, command._replace(at="acted"))
    yield f"{name(command)} has acted", _with_effect(new, command)


def _acted(state: State, guards: Guards, command: Command) -> Iterator[Move]:  # noqa: ARG001 - as the others
    yield (
        f"{name(command)} ends, and its note says so",
        state.moved(command, None).noted(command.key, "ended"),
    )


_STEPS = {
    "sent": _sent,
    "seen": _seen,
    "noted": _noted,
    "valid": _valid,
    "acting": _act,
    "acted": _acted,
}


def _refused(state: State, command: Command, *, asked: bool) -> bool:
    ours = state.lease is not None and state.lease.token == command.token
    return asked and state.left.leased and not ours


def _fenced(state: State, command: Command) -> State:
    """Whoever waits for it is told, and does no more: exit 5."""
    new = state.moved(command, None)
    for who in ("a", "b"):
        operator = new.who(who)
        if operator and operator.token == command.token and operator.at.startswith("waiting"):
            new = new.operated(who, None)
    return new


def _with_effect(state: State, command: Command) -> State:
    """An undo is idempotent: it takes away whatever is there."""
    effects = list(state.effects)
    place = command.run - 1
    effects[place] = effects[place] + 1 if command.kind == "act" else 0
    return state._replace(effects=(effects[0], effects[1]))


def _cut(state: State, command: Command) -> Iterator[Move]:
    """A command that was under way is lost with its link; one that has arrived goes on."""
    for who in ("a", "b"):
        operator = state.who(who)
        if operator and operator.token == command.token and operator.at.startswith("waiting"):
            asking = operator._replace(at=operator.at.replace("waiting", "recalling"))
            new = state.spent("cuts").operated(who, asking)
            yield f"the link is cut while {name(command)} is under way", new
            if command.at == "sent":
                yield f"the link is cut, and {name(command)} is lost", new.moved(command, None)


def _power_loss(state: State) -> Iterator[Move]:
    """What acts then may be done or not; the notes may be there or not; the lease is."""
    acting = [command for command in state.commands if command.at == "acting"]
    gone = state.spent("powers")._replace(commands=frozenset(), marks=frozenset())
    for done in (False, True) if acting else (False,):
        after = gone
        for command in acting if done else ():
            after = _with_effect(after, command)
        became = f", and {name(acting[0])} has {'just' if done else 'not'} acted" if acting else ""
        kept = frozenset((k, "dead" if w == "begun" else w) for k, w in after.notes)
        yield f"the host loses its power{became}; its notes are there", after._replace(notes=kept)
        if state.notes or state.voids:
            lost = after._replace(notes=frozenset(), voids=frozenset())
            yield f"the host loses its power{became}, and its notes", lost
