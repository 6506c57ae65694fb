"""Hosts whose first process is systemd: containers with sshd and the sample service as a unit.

The image is tiny, for it borrows the machine's /usr while it runs.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import ports, rootfs, sample_app
from .dockerd import DockerEngine, unique_name
from .sample_app import Behaviour
from .ssh_bed import SshBed, make_key
from .tools import program
from .wait import eventually

UNIT = "gigz-api"
FIRST_ADDRESS = 101

_SSHD_UNIT = """\
[Service]
RuntimeDirectory=sshd
PassEnvironment=SSH_ADDRESS SSH_PORT
ExecStart=/usr/sbin/sshd -D -e -f /dev/null -o UsePAM=no -o UseDNS=no \
-o PasswordAuthentication=no -o PermitRootLogin=prohibit-password -o StrictModes=no \
-o AuthorizedKeysFile=/etc/ssh/authorized_keys -o HostKey=/etc/ssh/host_key -o MaxSessions=64 \
-o MaxStartups=100:30:200 -o "Subsystem=sftp internal-sftp" \
-o ListenAddress=${SSH_ADDRESS} -o Port=${SSH_PORT}
"""
_APP_UNIT = """\
[Unit]
StartLimitIntervalSec=30
StartLimitBurst=5
[Service]
PassEnvironment=HOST PORT
Environment=PYTHONUNBUFFERED=1
ExecStart=/usr/bin/python3 -S /app/app.py
Restart=on-failure
RestartSec=200ms
TimeoutStopSec=5s
"""
_MASKED = (
    *(f"systemd-{name}.service" for name in (
        "udevd", "udev-trigger", "modules-load", "sysctl", "tmpfiles-setup-dev", "logind",
        "timesyncd", "firstboot", "update-utmp", "sysusers", "resolved", "networkd",
    )),
    "systemd-udevd-kernel.socket", "systemd-udevd-control.socket", "sys-kernel-config.mount",
    "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount",
    "dev-hugepages.mount", "dev-mqueue.mount", "getty.target", "getty-static.service",
    "console-getty.service", "ldconfig.service",
)  # fmt: skip


class SystemdHost:
    """One host; its code lies in `app_directory`, its service is the unit `gigz-api`."""

    def __init__(
        self,
        engine: DockerEngine,
        image: str,
        name: str,
        directory: Path,
        address: str,
        port: int,
        app_port: int,
        authorized_keys: Path,
        volumes: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.address = address
        self.port = port
        self.app_port = app_port
        self.app_directory = directory / "app"
        self.container = ""
        self._engine = engine
        self._image = image
        self._directory = directory
        self._authorized_keys = authorized_keys
        self._volumes = volumes or {}

    @property
    def public_key(self) -> str:
        return (self._directory / "ssh" / "host_key.pub").read_text()

    def start(self) -> None:
        """Boot; sshd listens when this returns, and the service is starting."""
        self._lay_out()
        volumes = {
            "/usr": "/usr:ro",
            "/sys/fs/cgroup": "/sys/fs/cgroup:ro",
            str(self.app_directory): "/app",
            str(self._directory / "home"): "/root",
            str(self._directory / "ssh"): "/etc/ssh",
            **self._volumes,
        }
        variables = {
            "container": "docker",
            "SSH_ADDRESS": self.address,
            "SSH_PORT": str(self.port),
            "HOST": self.address,
            "PORT": str(self.app_port),
        }
        options = ["--name", unique_name(self.name), "--stop-signal", "SIGRTMIN+3"]
        options += ["--tmpfs", "/run", "--tmpfs", "/run/lock", *_cgroup_options()]
        options += [f"--volume={source}:{target}" for source, target in volumes.items()]
        options += [f"--env={name}={value}" for name, value in variables.items()]
        init = "/lib/systemd/systemd"
        arguments = [init, "--log-target=console", "--show-status=0"]
        self.container = self._engine.run(self._image, *arguments, options=options)
        eventually(
            lambda: ports.accepts(self.address, self.port),
            within=60,
            saying=f"sshd of {self.name}",
        )

    def end(self) -> None:
        """Remove the host."""
        if self.container:
            self._engine.docker("rm", "-f", self.container, check=False)
            self.container = ""

    def power_cut(self) -> None:
        """Kill the host's first process; `power_on` boots it again with its files."""
        self._engine.docker("kill", "-s", "KILL", self.container)

    def power_on(self) -> None:
        """Boot again after a power cut."""
        self._engine.docker("start", self.container)
        eventually(lambda: ports.accepts(self.address, self.port))

    def deploy(self, version: str, behaviour: Behaviour = "healthy", after: float = 0.5) -> None:
        """Put other code in place, without a restart."""
        sample_app.write(self.app_directory, version, behaviour, after)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the host, beside sshd rather than through it."""
        return subprocess.run(
            [program("docker"), "exec", self.container, *argv],
            env=self._engine.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def show(self, *properties: str, unit: str = UNIT) -> dict[str, str]:
        """What systemd knows about a unit, by property name."""
        asked = [f"--property={name}" for name in properties]
        lines = self.run("systemctl", "show", unit, *asked).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    def _lay_out(self) -> None:
        ssh = self._directory / "ssh"
        for path in (ssh, self._directory / "home", self.app_directory):
            path.mkdir(parents=True, exist_ok=True)
        if not (ssh / "host_key").exists():
            make_key(ssh / "host_key", self.name)
        (ssh / "authorized_keys").write_text(self._authorized_keys.read_text())
        if not (self.app_directory / "app.py").exists():
            self.deploy("1")


class SystemdBed(SshBed[SystemdHost]):
    """Hosts on 127.0.0.101 and up; sshd on `port`, the service on `app_port`. `volumes` are more
    folders of this machine that the hosts see: path here -> path there."""

    def __init__(
        self,
        engine: DockerEngine,
        directory: Path,
        names: Sequence[str] = ("web1",),
        volumes: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory)
        addresses = [f"127.0.0.{FIRST_ADDRESS + index}" for index in range(len(names))]
        self.port = ports.free_port(addresses)
        self.app_port = ports.free_port(addresses)
        self._cleanup.callback(ports.release, self.port)
        self._cleanup.callback(ports.release, self.app_port)
        image = systemd_image(engine)
        for name, address in zip(names, addresses, strict=True):
            self._hosts[name] = SystemdHost(
                engine,
                image,
                name,
                directory / name,
                address,
                self.port,
                self.app_port,
                self.authorized_keys,
                volumes,
            )


def systemd_image(engine: DockerEngine) -> str:
    """The image of the hosts, made at the first call."""
    tag = engine.image("systemd:host")
    if engine.docker("images", "-q", tag):
        return tag
    return engine.import_image("systemd:host", _tree())


def _tree() -> rootfs.Tree:
    tree = rootfs.skeleton()
    for name in ("passwd", "group", "nsswitch.conf", "ld.so.cache", "os-release"):
        tree.copy(Path("/etc") / name)
    users = [line.split(":")[0] for line in Path("/etc/passwd").read_text().splitlines()]
    tree.text("etc/shadow", "".join(f"{user}:*:19000:0:99999:7:::\n" for user in users), 0o600)
    tree.text("etc/machine-id", "")
    for link in sorted(Path("/etc/alternatives").iterdir()):
        if link.is_symlink():
            tree.link(f"etc/alternatives/{link.name}", str(link.readlink()))
    units = "etc/systemd/system"
    wanted = {"bed-sshd.service": _SSHD_UNIT, f"{UNIT}.service": _APP_UNIT}
    for name, text in wanted.items():
        tree.text(f"{units}/{name}", text)
        tree.link(f"{units}/multi-user.target.wants/{name}", f"../{name}")
    tree.link(f"{units}/default.target", "/lib/systemd/system/multi-user.target")
    for name in _MASKED:
        tree.link(f"{units}/{name}", "/dev/null")
    return tree


def _cgroup_options() -> list[str]:
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return shlex.split("--privileged --cgroupns=private")
    return []
