"""Whether a host is the machine that is meant, asked right before something is changed there."""

from __future__ import annotations

from backout.errors import BackoutError
from backout.model import Command, Host, State
from backout.ports import Transport

PATIENCE = 30.0
"""Seconds for the answer; without one nothing starts."""


def wrong_machine(host: Host, transport: Transport) -> str:
    """Why nothing is to be changed on it: its own `is` says no, or does not answer. Empty when it
    is the one, and where nothing is asked."""
    if not host.is_:
        return ""
    try:
        answer = transport.run(Command(host.is_, timeout=PATIENCE))
    except BackoutError as error:
        return f"whether {host.name} is the machine that is meant is not known: {error.what}"
    if answer.ok:
        return ""
    if answer.state is State.FAILED:
        said = (answer.stderr.strip() or answer.stdout.strip()).splitlines()
        words = f": {said[-1]}" if said else ""
        return f"{host.name} is not the machine that is meant: {host.is_!r} says no{words}"
    why = answer.reason or str(answer.state)
    return f"whether {host.name} is the machine that is meant is not known: {why}"
