"""A Docker Engine for tests: the one that runs already, or a private one.

Images are made from this machine's files, so that no registry is asked. Containers use the host's
network and bind loopback addresses.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from . import rootfs, sample_app
from .bed import Bed
from .guard import guard
from .process import Process
from .sample_app import Behaviour
from .tools import SYSTEM_PATH, MissingTool, cache, program
from .wait import eventually

_HEALTH = """\
import os, socket, sys
link = socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), 2)
link.sendall(b"GET /health HTTP/1.0\\r\\n\\r\\n")
sys.exit(link.recv(64).split()[1:2] != [b"200"])
"""
_DOCKERFILE = """\
FROM {base}
COPY app.py /app/app.py
ENV PYTHONUNBUFFERED=1 PORT={port}
HEALTHCHECK --interval=1s --timeout=20s --retries=2 --start-period=1s \
CMD {health}
CMD ["python3", "-S", "/app/app.py"]
"""


class DockerEngine(Bed):
    """The engine at `host`. Everything in `prefix/…` images is this test process's own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.host = "unix:///var/run/docker.sock"
        self.private = False
        self.prefix = f"backout-test-{os.getpid()}"
        self._process: Process | None = None
        self._token = 0

    def start(self) -> Self:
        """Use the engine that answers, or start one."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self._answers():
            self._start_private()
        sweep = ["sh", "-c", self._sweep_command()]
        self._token = guard.add(sweep)
        return self

    def stop(self) -> None:
        """Remove what the tests made, and the engine when it is a private one."""
        subprocess.run(["sh", "-c", self._sweep_command()], check=False, capture_output=True)
        guard.remove(self._token)
        if self._process is not None:
            self._process.kill()

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which docker, Compose and the SDK find this engine."""
        return {
            "DOCKER_HOST": self.host,
            "DOCKER_CONFIG": str(cache() / "docker"),
            "DOCKER_BUILDKIT": "0",
            "COMPOSE_DOCKER_CLI_BUILD": "0",
            "HOME": str(self.directory),
            "PATH": SYSTEM_PATH,
        }

    def docker(
        self, *arguments: str, check: bool = True, data: bytes = b"", timeout: float = 180.0
    ) -> str:
        """Run the docker command and return what it printed."""
        done = subprocess.run(
            [program("docker"), *arguments],
            env=self.environment,
            input=data,
            capture_output=True,
            check=False,
            timeout=timeout,
        )
        shown = " ".join(arguments)
        assert not check or done.returncode == 0, f"docker {shown}: {done.stderr.decode()}"
        return done.stdout.decode().strip()

    def inspect(self, name: str) -> dict[str, Any]:
        """What the engine knows about a container or an image."""
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", name))
        return found[0]

    def image(self, name: str) -> str:
        """The full name of one of this process's images."""
        return f"{self.prefix}/{name}"

    def import_image(self, name: str, tree: rootfs.Tree) -> str:
        """Make an image of a file tree."""
        tag = self.image(name)
        self.docker("import", "-", tag, data=tree.data())
        return tag

    @cached_property
    def python_image(self) -> str:
        """A self-contained image that holds Python and a shell."""
        return self.import_image("python:base", rootfs.python_tree())

    def build_app(
        self,
        name: str,
        directory: Path,
        port: int,
        version: str = "1",
        behaviour: Behaviour = "healthy",
    ) -> str:
        """Build the sample service's image, with a health check, from a build context."""
        sample_app.write(directory, version, behaviour)
        health = json.dumps(["python3", "-S", "-E", "-c", _HEALTH])
        text = _DOCKERFILE.format(base=self.python_image, port=port, health=health)
        (directory / "Dockerfile").write_text(text)
        tag = self.image(name)
        self.docker("build", "-q", "-t", tag, str(directory))
        return tag

    def run(self, image: str, *command: str, options: Sequence[str] = ()) -> str:
        """Start a container in the background on the host's network; return its id."""
        return self.docker("run", "-d", "--network", "host", *options, image, *command)

    def wait_state(self, container: str, path: str, value: object, within: float = 150.0) -> None:
        """Wait for a field of the container's state, such as `Health.Status`."""
        eventually(
            lambda: self.state(container, path) == value,
            within=within,
            every=0.15,
            saying=f"{path} of {container} being {value!r}",
        )

    def state(self, container: str, path: str) -> object:
        """A field of the container's state by dotted path."""
        found: Any = self.inspect(container)["State"]
        for part in path.split("."):
            found = found[part]
        return found

    @property
    def compose_versions(self) -> Mapping[str, Sequence[str]]:
        """The commands of Compose v1 and v2."""
        if not (cache() / "docker" / "cli-plugins" / "docker-compose").exists():
            raise MissingTool("Compose v2")
        return {"v1": [program("docker-compose")], "v2": [program("docker"), "compose"]}

    def compose(
        self, version: str, directory: Path, *arguments: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run Compose in a project's directory."""
        done = subprocess.run(
            [*self.compose_versions[version], *arguments],
            cwd=directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert not check or done.returncode == 0, f"compose {version} {arguments}: {done.stderr}"
        return done

    def _answers(self) -> bool:
        argv = [program("docker"), "version", "--format", "{{.Server.Version}}"]
        done = subprocess.run(
            argv, env=self.environment, capture_output=True, check=False, timeout=60
        )
        return done.returncode == 0

    def _start_private(self) -> None:
        self.private = True
        self.host = f"unix://{self.directory}/docker.sock"
        # In a process and mount namespace of its own: when its first process is killed,
        # the engine, its containers and their mounts are gone at once.
        argv = [program("unshare"), "--mount", "--propagation", "slave", "--pid", "--fork"]
        argv += ["--mount-proc", "--kill-child", program("dockerd")]
        argv += ["--data-root", f"{self.directory}/data", "--exec-root", f"{self.directory}/exec"]
        argv += ["--pidfile", f"{self.directory}/dockerd.pid", "-H", self.host]
        argv += ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
        argv += ["--ip-masq=false", "--userland-proxy=false", "--live-restore=false"]
        argv += ["--log-level=warn"]
        log = self.directory / "dockerd.log"
        self._process = Process(argv, log=log, env={"PATH": SYSTEM_PATH})
        eventually(self._ready, every=0.05, saying="a private Docker Engine")

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.running, self._process.output()
        return Path(self.host.removeprefix("unix://")).exists() and self._answers()

    def _sweep_command(self) -> str:
        docker = f"{program('docker')} -H {self.host}"
        images = f"{docker} images -q --filter 'reference={self.prefix}/*'"
        return (
            f"for image in $({images} | sort -u); do"
            f' {docker} ps -aq --filter "ancestor=$image" | xargs -r {docker} rm -f; done;'
            f" {images} | sort -u | xargs -r {docker} rmi -f"
        )


def unique_name(kind: str) -> str:
    """A name for a container or a Compose project that no other test uses."""
    return f"{kind}-{os.getpid()}-{time.monotonic_ns()}"
