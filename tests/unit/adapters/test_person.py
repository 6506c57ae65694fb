"""Who is at work, as far as a machine can tell."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from backout.adapters.person import NOBODY, person
from backout.errors import Mistakes

ASK = "import os; from backout.adapters.person import person; p = person(os.environ);"
SHOW = "print(*p.names, p.account.partition('@')[0])"


def told(env: Mapping[str, str], *, account: int = 0) -> list[str]:
    """The names and the account of a process of that account."""
    argv = ["setpriv", f"--ruid={account}", "--euid=0", sys.executable, "-c", f"{ASK} {SHOW}"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB", "GITLAB", "SUDO"))}
    done = subprocess.run(argv, env={**kept, **env}, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.fixture(autouse=True)
def no_login() -> None:
    """A session of its own would be told first, whatever becomes of the process."""
    with open("/proc/self/loginuid") as file:  # noqa: PTH123 - it is no file
        if int(file.read()) != NOBODY:
            pytest.skip("this session has a login that no process of it can leave")


def test_an_account_of_somebodys_own_counts_beside_the_name_that_is_said() -> None:
    assert told({"BACKOUT_PERSON": "Ann@laptop"}, account=23456) == ["ann", "23456", "23456"]
    assert told({"BACKOUT_PERSON": "ann"}) == ["ann", "root"]  # root is nobody's own
    assert told({}, account=23456) == ["23456", "23456"]
    assert told({}) == ["root", "root"]


def test_sudo_and_a_runner_do_not_make_somebody_else_of_anybody() -> None:
    assert told({"SUDO_UID": "23456"}) == ["23456", "23456"]
    assert told({"SUDO_UID": "1"}, account=23456) == ["23456", "23456"]  # it is not root
    ci = {"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "Dependabot[bot]"}
    assert told(ci, account=23456) == ["dependabot-bot-", "23456", "23456"]
    assert told({"GITHUB_ACTOR": "zed"}, account=23456) == ["23456", "23456"]  # no runner


def test_a_name_in_letters_that_look_like_others_is_a_mistake() -> None:
    with pytest.raises(Mistakes, match="is no person's name"):
        person({"BACKOUT_PERSON": "аnn"})
