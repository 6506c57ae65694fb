"""`ssh`: a login of one's own on a target's host, by OpenSSH."""

from __future__ import annotations

import os
import shutil

from backout.adapters.transports.ssh_config import Place, SshConfig
from backout.commands.options import Ssh
from backout.errors import Mistakes, Refused
from backout.model import Host, Target
from backout.model.operands import at_home
from backout.model.validation import did_you_mean
from backout.ports import Screen
from backout.project.project import Workplace
from backout.reports.answer import Answer


class Login:
    """This process becomes ssh."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def ssh(self, options: Ssh) -> Answer:
        if options.json:
            raise Mistakes(
                "a login has no JSON: leave --json out",
                where="command line",
                next="invoke exec --json, for a command's output",
            )
        target = self.workplace.target(options.target)
        host = _host(target, options.host)
        if self.workplace.beyond.has(host):
            raise Refused(
                f"{host.name} is reached from zone {host.zone} alone: log in from a machine there",
                where=target.file,
                next=f"on that machine: BACKOUT_ZONE={host.zone} invoke ssh {host.name}",
            )
        argv = argv_of(target, host)
        program = shutil.which(argv[0])
        if program is None:
            raise Refused("OpenSSH's ssh is not installed here", next="install openssh-client")
        self.workplace.close()
        os.execv(program, argv)  # noqa: S606 - an argv, no shell


def argv_of(target: Target, host: Host) -> tuple[str, ...]:
    """How ssh is called, so that it logs in where Backout does and trusts the same keys. Raises
    Refused for a host without SSH, and Mistakes."""
    if host.connection != "ssh":
        raise Refused(
            f"{host.name} is this machine: you are there", where=target.file, next="type it here"
        )
    ssh = target.ssh
    try:
        said = Place.of(host.address or host.name)
    except ValueError as error:
        raise Mistakes(f"hosts.{host.name}: {error}", where=target.file) from error
    user = host.user or said.user or ssh.user
    port = host.port or said.port
    known = f'"{at_home(ssh.known_hosts)}"' if ssh.known_hosts else ""
    return (
        *("ssh", *SshConfig(ssh).which()),
        *(("-i", str(at_home(ssh.identity))) if ssh.identity else ()),
        *(("-o", f"UserKnownHostsFile={known}") if known else ()),
        *(
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            f"ConnectTimeout={max(1, ssh.connect_timeout):.0f}",
        ),
        *(("-l", user) if user else ()),
        *(("-p", str(port)) if port else ()),
        *("--", said.name),
    )


def _host(target: Target, name: str) -> Host:
    if name not in target.hosts:
        known = ", ".join(target.hosts) or "none"
        hint = did_you_mean(name, target.hosts)
        raise Mistakes(
            f"{target.name} has no host {name!r}{hint} (it has: {known})",
            where=target.file,
            next="invoke targets",
        )
    return target.hosts[name]
