"""A target that others have to agree to, and people at several desks."""

from __future__ import annotations

import sys
from pathlib import Path

from . import warm
from .project import Said
from .yard import Yard

ACCOUNT = 23456
"""An account of this machine that is nobody else's. Its files are root's, so that the journal can
be read; the system knows it as another one all the same."""


AS = (
    "import os, sys; os.setresuid({}, 0, 0); sys.argv[0] = 'invoke';"
    " from backout.tasks import main; main()"
)
"""The command line, in a process of that account."""


class Office(Yard):
    """A target that others have to agree to, and people at several desks. `ann` is at the usual
    one."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.project.env["BACKOUT_PERSON"] = "ann"
        self.weigh(1)
        self.inventory(protected={"approvals": 1})

    def weigh(self, weight: int) -> None:
        self.runbook(
            self.step("One", before=f"echo {weight}"),
            {"name": "Tell", "run": "true", "on": "web", "irreversible": "what is told is told"},
        )

    def by(self, name: str, *words: str, account: int = ACCOUNT) -> Said:
        """Somebody else types `backout WORDS`."""
        env = {**self.project.env, "BACKOUT_PERSON": name}
        program = (sys.executable, "-c", AS.format(account))
        return Said(*warm.run(words, self.project.directory, env, 120, program))

    def python(self, name: str, expression: str) -> str:
        """What an expression comes to in a program of somebody, or what it raises."""
        env = {**self.project.env, "BACKOUT_PERSON": name}
        said = f"try: print({expression})\nexcept backout.BackoutError as error: print(error.what)"
        text = f"import os, backout; os.setresuid({ACCOUNT}, 0, 0)\n{said}"
        program = (sys.executable, "-c", text)
        return warm.run((), self.project.directory, env, 60, program)[1].strip()

    def ask(self, *words: str) -> str:
        """Ann asks, and is refused. Returns what is to be approved."""
        said = self.say("deploy", "--yes", *words)
        assert said.code == 3, said.out + said.err
        assert "needs 1 approval by somebody else and has 0" in said.data["error"]["what"]
        asked = [each["run"] for each in self.say("status").data["asked"]]
        assert f"invoke approve {asked[0]}" in said.data["error"]["next"]
        return str(asked[0])
