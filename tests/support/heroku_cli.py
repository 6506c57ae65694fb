"""The real Heroku command line client, in a network that holds nothing but the stand-in."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .heroku import HerokuStandIn
from .netns import listener_in, loopback_only
from .tools import SYSTEM_PATH, MissingTool, node_program, program


class HerokuCli:
    """Runs `heroku WORDS`; it cannot reach the world."""

    def __init__(self, heroku: HerokuStandIn, network: str, home: Path) -> None:
        node = shutil.which("node")
        if node is None:
            raise MissingTool("node")
        script = Path(node_program("heroku"))
        path = f"{script.parent}:{SYSTEM_PATH}"
        own = {"HOME": str(home), "PATH": path, "HEROKU_DISABLE_AUTOUPDATE": "1"}
        self._env = {**heroku.environment, **own}
        self._argv = [program("ip"), "netns", "exec", network, node, str(script.resolve())]

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._argv, *words],
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )


@contextmanager
def heroku_cli(heroku: HerokuStandIn, home: Path) -> Iterator[HerokuCli]:
    """The client, and the stand-in answering in its network too."""
    with loopback_only() as network:
        heroku.start(listener_in(network, "127.0.0.1", heroku.port))
        yield HerokuCli(heroku, network, home)
