"""What happens to operators, and what people type: kill, resume and abort, unlock."""

from __future__ import annotations

from collections.abc import Iterator

from proof import operators
from proof.hosts import Move
from proof.world import Guards, Operator, Records, State


def beginning(state: State) -> State:
    """A has opened run 1, and nothing else was done."""
    opened = state.recorded(1, epoch=1)
    return opened._replace(a=Operator(1, 1, 1, False, "begin"), tokens=1)


def moves(state: State, guards: Guards) -> Iterator[Move]:
    """Every next thing that the operators may do, or that may happen to them."""
    for who in ("a", "b"):
        operator = state.who(who)
        if operator is None:
            yield from _goes_on(state, who)
            continue
        if operator.at.startswith("freeing"):
            yield from _free(state, guards, operator)
        else:
            yield from operators.moves(state, guards, who)
        if state.left.kills and (who == "a" or state.left.mates):
            yield f"{who.upper()} is killed", state.spent("kills").operated(who, None)
    if state.left.unlocks and state.b is None and not state.b_is:
        yield from _unlock(state)


def _goes_on(state: State, who: str) -> Iterator[Move]:
    """`resume` or `abort`: by the run's own machine, or by a colleague who takes it for dead."""
    run = 2 if who == "b" and state.b_is == "stranger" else 1
    other = state.b if who == "a" else state.a
    records = state.on_record(run)
    if not state.left.takeovers or not records.epoch or records.over:
        return
    if not state.left.leased and (who == "b" or other):
        return
    if who == "b" and not state.left.mates:
        return
    for back in (False, True):
        verb = "abort" if back else "resume"
        why = " while its driver lives" if other and other.run == run else ""
        token = state.tokens + 1
        new = state.recorded(run, epoch=records.epoch + 1).spent("takeovers")
        me = Operator(run, records.epoch + 1, token, back, "begin")
        new = new._replace(tokens=token).operated(who, me)
        if who == "b" and run == 1:
            new = new._replace(b_is="mate")
        yield f"{who.upper()} types {verb}{why}: run {run} has a new epoch", new


def _unlock(state: State) -> Iterator[Move]:
    """B knows nothing of run 1. What is held has expired by then, for its owner was frozen or is
    gone; or B does not care."""
    new = state.spent("unlocks")._replace(b_is="stranger")
    me = Operator(2, 1, 0, False, "freeing")
    if state.lease is None:
        yield "B, who knows nothing of run 1, wants to deploy", _deploys(new, me)
        return
    yield (
        "the lease expires, and B, who knows nothing of run 1, types unlock",
        new._replace(b=me._replace(token=state.lease.token)),
    )
    taken = new._replace(lease=state.lease._replace(token=0), b=me._replace(at="freeing by force"))
    yield "B, who knows nothing of run 1, types unlock --force: the lease is nobody's", taken


def _free(state: State, guards: Guards, me: Operator) -> Iterator[Move]:
    if me.at == "freeing at last":
        yield "B frees the host, and types deploy", _deploys(state, me)
        return
    by_force = me.at == "freeing by force"
    alive = state.living(beside=0) if guards.alive else ()
    if state.lease is None or state.lease.token != me.token:
        yield "B is refused: it is not the lease that it looked at", state._replace(b=None)
    elif alive and not by_force:
        yield "B is refused: a command is alive on the host", state._replace(b=None)
    elif alive:
        new = state._replace(commands=state.commands - set(alive))
        for command in alive:
            new = new.noted(command.key, "dead")
        yield "B ends what is alive on the host", new
    else:
        looked = "finds nothing alive on the host" if guards.alive else "looks no further"
        yield f"B {looked}", state._replace(b=me._replace(at="freeing at last"))


def _deploys(state: State, me: Operator) -> State:
    token = state.tokens + 1
    free = state._replace(lease=None, tokens=token, runs=(state.runs[0], Records(epoch=1)))
    return free._replace(b=me._replace(token=token, at="begin"))
