"""Users whose login shell is not bash: fish, tcsh, zsh, ksh and BusyBox, each with a start-up file
that prints, is narrow about modes, and leaves traps behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sshd import SshdBed
from support.tools import program
from support.yard import Yard

UID = 61_000
START_UP = {
    "fish": (".config/fish/config.fish", "echo 'Willkommen 🐟'; umask 077; function cd; end\n"),
    "tcsh": (".cshrc", "echo 'welcome to tcsh'; umask 027; set noclobber; alias cd 'echo no'\n"),
    "zsh": (".zshenv", "echo zsh here; setopt noclobber ksharrays; export CDPATH=/:/tmp\n"),
    "ksh": (".profile", "echo ksh here; export ENV=$HOME/.kshrc; umask 077\n"),
    "ash": (".profile", "echo ash here; umask 077; set -e\n"),
}
TEXT = 'it\'s "$HOME" `x` \\\\ Größe\n'


@pytest.fixture(scope="module")
def logins() -> Iterator[SshdBed]:
    """A host a shell, each with a user of that name who has it as the login shell."""
    place = Path(tempfile.mkdtemp(prefix="logins-"))
    place.chmod(0o755)  # its users come by
    with SshdBed(place, list(START_UP)) as bed:
        for host in bed:
            _settle_in(host.name, host.machine.directory)
        yield bed
    shutil.rmtree(place)


def _settle_in(name: str, directory: Path) -> None:
    """The user of one host, in its own list of users."""
    shell = directory / "ash"
    if name == "ash":
        shell.symlink_to(program("busybox"))
    else:
        shell = Path(program(name))
    home = directory / "user's home"
    file, text = START_UP[name]
    (home / file).parent.mkdir(parents=True)
    (home / file).write_text(text)
    for path in (home, *home.rglob("*")):
        os.chown(path, UID, UID)
    with (directory / "passwd").open("a") as users:
        users.write(f"{name}:x:{UID}:{UID}::{home}:{shell}\n")


def home(bed: SshdBed, name: str) -> Path:
    return bed[name].machine.directory / "user's home"


def test_whatever_shell_a_login_has_it_is_deployed_to_and_rolled_back(
    logins: SshdBed, tmp_path: Path
) -> None:
    with Yard(tmp_path, logins) as yard:
        hosts = logins.inventory_hosts()
        yard.inventory(
            hosts={name: {**hosts[name], "user": name, "vars": {"home": str(home(logins, name))}}
                   for name in START_UP},
            rollout={"batches": ["100%"], "soak": 0},
            secrets={"token": {"env": "TOKEN"}},
            checks={"there": {"command": "test -d {{ vars.home }}", "on": "web",
                              "expect": ["exit_code == 0"]}},
        )  # fmt: skip
        yard.project.env["TOKEN"] = "only between us"
        steps = [
            {"name": "Say it", "run": "printf '%s' {{ params.text }} > said; echo \"$T\" > secret",
             "undo": "printf '%s' before > said", "on": "web", "cwd": "{{ vars.home }}",
             "env": {"T": "{{ secrets.token }}"}},
            {"name": "Put it", "upload": {"from": "app.env", "to": "{{ vars.home }}/app.env",
                                          "mode": "0640"}, "on": "web"},
        ]  # fmt: skip
        yard.runbook(*steps, params={"text": {"default": TEXT}})
        for n in (1, 2):
            (yard.project.directory / "app.env").write_text(f"release {n}\n")
            said = yard.deploy("--follow")
            assert said.code == 0, said.out + said.err
            for name in START_UP:
                place = home(logins, name)
                assert (place / "said").read_text() == TEXT, name
                assert (place / "secret").read_text() == "only between us\n", name
                assert (place / "app.env").read_text() == f"release {n}\n", name
                assert (place / "app.env").stat().st_mode & 0o777 == 0o640, name
                assert (place / "app.env").stat().st_uid == UID, name

        back = yard.say("rollback", "--yes")

        assert back.code == 0, back.out + back.err
        for name in START_UP:
            assert (home(logins, name) / "app.env").read_text() == "release 1\n", name
            assert (home(logins, name) / "said").read_text() == "before", name
        assert yard.say("status").code == 0
        assert yard.say("doctor").code == 0
