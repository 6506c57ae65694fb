"""Words of the verbs for the first hour."""

from __future__ import annotations

from dataclasses import dataclass, field

from backout.commands.options.base import Confirmed, Options, word


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Init(Options):
    """Write a tasks.py, a runbook and an inventory.

    Overwrites nothing. The branch, the remote and the restart backend are told
    from what lies there; --backend says it otherwise.

    Example: invoke init (or, where there is no tasks.py yet: backout init)

    Exit codes: 0 written; 2 there is no such backend; 3 it cannot be written here.
    """

    name = "init"
    room = "backout.commands.beginnings:Beginning.init"
    backend: str | None = word("How the service is restarted: systemd, pm2, docker-compose …")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Demo(Confirmed):
    """Take a two-minute tour: deploy, break, come back.

    All of it happens on this machine, in a directory of its own.

    Example: backout demo
    """

    name = "demo"
    room = "backout.commands.beginnings:Beginning.demo"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ExampleGigz(Options):
    """Watch a note fail, and a runbook cure.

    Starts a real PostgreSQL, Parse Server and PM2 in a directory of their own,
    deploys the old code of examples/gigz-api, follows the note to the letter,
    runs userconcert-fix, and rolls back.

    Example: invoke example.gigz
    """

    name = "example.gigz"
    room = "backout.commands.example:Example.gigz"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Completion(Options):
    """Print what completes words in your shell.

    Verbs, options, targets, runbooks, runs, releases, checks and hosts, for
    backout, and for invoke where its tasks are Backout's.

    Example: eval "$(backout completion bash)" (in ~/.bashrc)

    Exit codes: 0 printed; 2 there is none for that shell.
    """

    name = "completion"
    writes = False
    room = "backout.commands.completion:Completing.completion"
    shell: str = field(metadata={"help": "bash, zsh or fish."})
