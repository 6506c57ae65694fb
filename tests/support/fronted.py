"""A project whose hosts serve pages behind a real balancer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Self

from backout.balancers import BACKENDS
from backout.model import Balancer
from backout.ports import Pool

from . import ports
from .balancers import Front, Members
from .machine import Machine
from .sample_app import ask
from .sshd import SshdBed
from .tools import system_python
from .transports import Shell
from .yard import Yard

APP = Path(__file__).with_name("fronted_app") / "app.py"
NODE_APP = APP.with_name("app.js")
START = """\
#!/bin/sh
# start HOST: end the service of a host, and begin it anew with what its version file says.
set -eu
cd "$(dirname "$0")"
[ ! -s "$1.pid" ] || {{ kill "$(cat "$1.pid")" 2>/dev/null || :; }}
while curl -sf -o /dev/null "http://$2:{port}/"; do sleep 0.05; done
[ ! -e "$1.never" ] || exit 1
setsid {python} -S -E {app} "$2" {port} "$1.version" </dev/null >"$1.log" 2>&1 &
echo $! >"$1.pid"
for n in $(seq 100); do
  if curl -s -o /dev/null "http://$2:{port}/"; then exit 0; fi; sleep 0.05
done
exit 1
"""


class Fronted(Yard):
    """Hosts that serve pages, and what stands in front of them, on the host `lb1`."""

    def __init__(
        self,
        directory: Path,
        bed: SshdBed,
        kind: Callable[[Path, Members, Machine], AbstractContextManager[Front]],
        **inventory: Any,
    ) -> None:
        self._opened = ExitStack()
        self.hosts = {host.name: host for host in bed if host.name != "lb1"}
        self.port = ports.free_port([host.address for host in self.hosts.values()])
        super().__init__(directory, bed)
        (self.files / "start").write_text(
            START.format(port=self.port, python=system_python(), app=APP)
        )
        (self.files / "start").chmod(0o755)
        for name in self.hosts:
            self.version(name).write_text("1\n")
        for host in self.hosts.values():
            self.start_app(host.machine, host.name, host.address)
        members = {name: f"{host.address}:{self.port}" for name, host in self.hosts.items()}
        (directory / "front").mkdir()
        self.before = bed["lb1"].machine
        front = kind(directory / "front", members, self.before)
        self.front = self._opened.enter_context(front)
        self.inventory(**self.fronted(**inventory))
        self.runbook(self.update(), settle=self.settling())

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._opened.close()
        for host in self.hosts.values():
            host.machine.run("pkill", "-f", str(self.files), check=False)
        ports.release(self.port)

    def __enter__(self) -> Self:
        return self

    def start_app(self, machine: Machine, name: str, address: str) -> None:
        machine.run("sh", str(self.files / "start"), name, address)

    @property
    def ctl(self) -> Path:
        """The program of a balancer that only its own program knows."""
        return self.front.directory / "balancer"

    def version(self, name: str) -> Path:
        """The file that says which version a host's service is of when it starts."""
        return self.files / f"{name}.version"

    def fronted(self, **changes: Any) -> dict[str, Any]:
        own = {
            "http": {"url": f"http://site:{self.port}/health"},
            "on": "web",
            "expect": ["status == 200"],
            "retry": {"for": "3s", "every": "50ms"},
        }
        assert self.bed is not None
        hosts = self.bed.inventory_hosts()
        hosts = {name: {**hosts[name], "groups": ["web"]} for name in self.hosts} | {
            "lb1": {**hosts["lb1"], "groups": []}
        }
        if self.front.entry["backend"] == "caddy":
            own_name = {"member": f"{{{{ host.address }}}}:{self.port}"}
        else:
            own_name = {}
        edge = {**self.front.entry, **own_name, "on": "lb1", "for": "web", "drain_timeout": "8s"}
        return {
            "hosts": hosts,
            "balancers": {"edge": edge},
            "rollout": {"batches": [1], "soak": "0s", "drain": True},
            "checks": {"own": own},
            **changes,
        }

    def update(self, to: str = "2") -> dict[str, Any]:
        """A step that brings another version to a host."""
        file = f"{self.files}/{{{{ host.name }}}}.version"
        way = {"run": f"echo {to} > {file}", "undo": f"echo 1 > {file}"}
        return {"name": "Update", **way, "on": "web"}

    def settling(self) -> list[dict[str, Any]]:
        """Each host's service begins anew, and proves itself."""
        start = f"sh {self.files}/start {{{{ host.name }}}} {{{{ host.address }}}}"
        restart = {"name": "Restart", "run": start, "on": "web"}
        return [restart, {"name": "Prove it", "verify": "all"}]

    def witness(self) -> dict[str, Any]:
        """A step that asks the balancer who answers while its host is changed."""
        page = (
            f"http://127.0.0.1:{self.front.port}/#[1-24]"  # over one connection, one after another
        )
        asked = f"curl -s -w '\\n' '{page}' > {self.files}/{{{{ host.name }}}}.saw"
        return {"name": "Witness", "run": asked, "undo": asked, "on": "web"}

    def witnessed(self) -> dict[str, str]:
        """Host -> who answered meanwhile."""
        owner = {host.address: name for name, host in self.hosts.items()}
        seen = {name: (self.files / f"{name}.saw").read_text().split() for name in self.hosts}
        each = {
            name: {owner[word] for word in words if word in owner} for name, words in seen.items()
        }
        return {name: ", ".join(sorted(who)) for name, who in each.items()}

    def pool(self) -> Pool:
        """The balancer, to be asked."""
        words = dict(self.front.entry)
        backend = BACKENDS[str(words.pop("backend"))]
        options = backend.Options(**words)
        made: Pool = backend(
            Balancer(name="edge", backend="", on=("here",), options=options),
            Shell(inside=self.before.command([])),
        )
        return made

    def serving(self) -> dict[str, str]:
        """Which version each host's service is of now."""
        pages = {name: ask(h.address, self.port, "/")[1] for name, h in self.hosts.items()}
        return {name: page.decode().split()[1] for name, page in pages.items()}
