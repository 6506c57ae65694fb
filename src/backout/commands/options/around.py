"""Words of the verbs that look around on a target's machines."""

from __future__ import annotations

from dataclasses import dataclass, field

from backout.commands.options.base import Aimed, Confirmed, Options, word

HOSTS = "Only these hosts or groups, separated by commas."


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Targets(Options):
    """List the targets: hosts, release, checks, last run.

    Reads the inventories and the journal; asks no host.

    Example: invoke targets

    Exit codes: 0 listed; an inventory that is broken is named as that.
    """

    name = "targets"
    writes = False
    room = "backout.commands.targets:Listing.targets"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Logs(Aimed):
    """Show the last lines that a target's services wrote.

    Secrets are hidden. --follow goes on until Ctrl-C.

    Example: invoke logs --target prod --hosts web1 --lines 200

    Exit codes: 0 shown; 2 a mistake in the words; 3 a host's could not be read.
    """

    name = "logs"
    writes = False
    room = "backout.commands.logs:Reading.logs"
    hosts: str | None = word(HOSTS)
    lines: int = word("How many lines of each service.", 50)
    follow: bool = word("Show what is added, until Ctrl-C.", False)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Exec(Aimed, Confirmed):
    """Run a command on a target's hosts, side by side.

    It is taken at its word that it changes nothing: no lock, no way back; its
    output is in the journal. One that changes something says --changes WHY:
    it takes the lock, is confirmed, runs batch by batch, cannot be undone, and
    every check is proved after it.

    Example: invoke exec --target prod "uptime"

    Exit codes: 0 it exited 0 everywhere; 3 a host cannot be reached; 6 it exited
    otherwise on a host; 9 nobody can tell. With --changes as for deploy.
    """

    name = "exec"
    room = "backout.commands.exec:Executing.exec"
    command: str = field(metadata={"help": "POSIX shell text, in quotes."})
    hosts: str | None = word(HOSTS)
    timeout: str | None = word("How long it may take on a host: 30s, 5m (default: 60s).")
    changes: str | None = word("It changes something, and this is why.")
    wait: str | None = word("With --changes: wait so long for the lock, or an approval: 15m.")
    break_freeze: str | None = word("Change it although the target is frozen; the reason.")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Ssh(Aimed):
    """Log in to a host: OpenSSH, as the inventory says.

    Example: invoke ssh --target prod web1

    Exit codes: those of ssh; 2 there is no such host.
    """

    name = "ssh"
    writes = False
    room = "backout.commands.ssh:Login.ssh"
    host: str = field(metadata={"help": "A host of the inventory."})
