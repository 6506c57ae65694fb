"""What OpenSSH makes of `ssh_config` for one host: `ssh -G` is asked, nobody else knows it.

Where ssh is not installed (or refuses to run: a user without a name), Paramiko reads the file as
far as it reads it rightly; what it would read otherwise is refused.
"""

from __future__ import annotations

import getpass
import io
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backout.errors import Unreachable
from backout.model import Host, Ssh
from backout.model.operands import at_home

USUAL = "~/.ssh/config"
SYSTEM = "/etc/ssh/ssh_config"
KNOWN_HOSTS = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
GLOBAL_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
KEYS = ("~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519")
PATIENCE = 30.0
"""How long, in seconds, `ssh -G` may take: it runs the commands of `Match exec`."""

_PLACE = re.compile(r"(?:ssh://)?(?:(.*)@)?(?:\[([^]]+)]|([^:]+)|(.*:.*:.*?))(?::(\d+))?/?")

Words = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Place:
    """A machine as it is asked for: by a name, and perhaps a user and a port."""

    name: str
    user: str = ""
    port: int = 0

    @classmethod
    def of(cls, text: str) -> Place:
        """`[user@]host[:port]`, an IPv6 address in brackets where a port follows; or a URI.
        Raises ValueError."""
        found = _PLACE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not [user@]host[:port]")
        user, bracketed, name, bare, port = found.groups()
        return cls(bracketed or name or bare, user or "", int(port or 0))


@dataclass(frozen=True, slots=True)
class Login:
    """How a host is reached. Paths are absolute; empty words say nothing."""

    name: str
    host: str
    user: str
    port: int
    alias: str = ""
    """The name under which its key is on record, where that is not its own."""
    keys: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    """What an authority signed of these keys, where that does not lie beside them."""
    only_these_keys: bool = False
    """The agent may offer no others."""
    agent: str = ""
    """The agent's socket, or `none`; empty for the environment's."""
    forward_agent: bool = False
    known_hosts: tuple[str, ...] = ()
    global_known_hosts: tuple[str, ...] = ()
    jumps: tuple[Place, ...] = ()
    """Gateways, the first of them nearest to us."""
    proxy: str = ""
    """The command that connects."""


class SshConfig:
    """One configuration, read as the machine's own ssh reads it."""

    def __init__(self, ssh: Ssh) -> None:
        self._ssh = ssh
        self._file = ssh.config
        self._known: dict[Place, Login] = {}
        self._lock = threading.Lock()

    def of(self, host: Host) -> Login:
        """How a host of the inventory is reached; what stands there comes first. Raises
        Unreachable."""
        try:
            said = Place.of(host.address or host.name)
        except ValueError as error:
            raise Unreachable(f"{host.name} cannot be reached: {error}") from error
        user = host.user or said.user or self._ssh.user or ""
        return self.login(Place(said.name, user, host.port or said.port))

    def login(self, place: Place) -> Login:
        """How OpenSSH would reach a place. Asked once. Raises Unreachable."""
        with self._lock:
            known = self._known.get(place)
        if known is None:
            known = _login(place, self._asked(place))
            with self._lock:
                self._known[place] = known
        return known

    def _asked(self, place: Place) -> Words:
        ssh = shutil.which("ssh")
        if ssh is None:
            return _read_by_paramiko(self._file, place)
        user = ["-l", place.user] if place.user else []
        port = ["-p", str(place.port)] if place.port else []
        try:
            done = subprocess.run(
                [ssh, "-G", *self.which(), *user, *port, "--", place.name],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=PATIENCE,
            )
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise _wrong(place, f"`ssh -G` could not be asked: {error}") from error
        if "No user exists for uid" in done.stderr:
            return _read_by_paramiko(self._file, place)
        if done.returncode:
            said = "; ".join(line.strip() for line in done.stderr.splitlines() if line.strip())
            raise _wrong(place, said or f"`ssh -G` exited {done.returncode}")
        return _words(done.stdout)

    def which(self) -> list[str]:
        """The words that name this configuration to ssh, which takes the home of the user database
        for `~`; everything here takes HOME."""
        if self._file != USUAL:
            return ["-F", str(at_home(self._file))]
        if Path.home() == _home_on_record():
            return []
        own = at_home(USUAL)
        return ["-F", str(own) if own.is_file() else "none"]


def _words(text: str) -> Words:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key.lower(), []).append(value)
    return found


def _login(place: Place, words: Words) -> Login:
    def one(key: str) -> str:
        value = next(iter(words.get(key, ())), "")
        return "" if value.lower() == "none" else value

    host, user = one("hostname") or place.name, place.user or one("user") or _user()
    port = place.port or int(one("port") or 22)
    alias = one("hostkeyalias")
    tokens = {
        "%": "%",
        "d": str(Path.home()),
        "h": host,
        "i": str(os.getuid()),
        "j": one("proxyjump"),
        "k": alias or place.name,
        "L": socket.gethostname().partition(".")[0],
        "l": socket.gethostname(),
        "n": place.name,
        "p": str(port),
        "r": user,
        "u": _user(),
    }

    def path(text: str) -> str:
        return sys.intern(str(at_home(_filled(text, tokens))))  # the same for most hosts

    if one("proxyusefdpass") == "yes" and one("proxycommand"):
        raise _wrong(place, "ProxyUseFdpass is not supported")
    agent = next(iter(words.get("identityagent", ())), "")
    if one("pubkeyauthentication") in ("no", "false") or "publickey" not in (
        one("preferredauthentications") or "publickey"
    ):
        raise _wrong(place, "it lets nobody log in by a key, and Backout knows no other way")
    return Login(
        name=place.name,
        host=host,
        user=user,
        port=port,
        alias=alias,
        keys=tuple(path(key) for key in words.get("identityfile", ()) if key.lower() != "none"),
        certificates=tuple(map(path, words.get("certificatefile", ()))),
        only_these_keys=one("identitiesonly") == "yes",
        agent=_agent(agent, path),
        forward_agent=_forward(one("forwardagent"), place),
        known_hosts=tuple(map(path, files(_at_home(one("userknownhostsfile"))))),
        global_known_hosts=tuple(map(path, files(one("globalknownhostsfile")))),
        jumps=tuple(Place.of(hop) for hop in one("proxyjump").split(",") if hop),
        proxy=_proxy(one("proxycommand"), tokens, place),
    )


def _agent(text: str, path: object) -> str:
    if text.lower() == "none":
        return "none"
    if text in ("", "SSH_AUTH_SOCK"):
        return ""
    if text.startswith("$"):
        return os.environ.get(text.strip("${}"), "none")
    return str(path(text)) if callable(path) else text


def _forward(text: str, place: Place) -> bool:
    if text not in ("", "yes", "no"):
        raise _wrong(place, f"ForwardAgent {text}: only yes and no are supported")
    return text == "yes"


def _proxy(text: str, tokens: Mapping[str, str], place: Place) -> str:
    """The command as the user's shell runs it."""
    filled = _filled(text, tokens)
    if unknown := re.search(r"%[^%]", filled.replace("%%", "")) if "%" in text else None:
        raise _wrong(place, f"ProxyCommand: {unknown[0]} is not supported")
    return filled


def _filled(text: str, tokens: Mapping[str, str]) -> str:
    """With its `%` tokens and `${VARIABLES}`; those that nobody knows stay as they are."""
    text = re.sub(r"%(.)", lambda found: tokens.get(found[1], found[0]), text)
    return re.sub(r"\$\{(\w+)}", lambda found: os.environ.get(found[1], found[0]), text)


def _at_home(text: str) -> str:
    """ssh's own default, below HOME."""
    home = _home_on_record()
    usual = " ".join(f"{home}/.ssh/{name}" for name in ("known_hosts", "known_hosts2"))
    return KNOWN_HOSTS if text == usual else text


def files(text: str) -> Iterator[str]:
    """Names as ssh prints them, side by side and without quotes: a space may be part of one."""
    words = text.replace('"', "").split()
    while words:
        sizes = range(len(words), 1, -1)
        longest = (n for n in sizes if at_home(" ".join(words[:n])).is_file())
        size = next(longest, 1)
        yield " ".join(words[:size])
        words = words[size:]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _home_on_record() -> Path | None:
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def _wrong(place: Place, why: str) -> Unreachable:
    return Unreachable(
        f"{place.name} cannot be reached: what ssh_config says of it cannot be followed: {why}",
        next=f"ssh -G {place.name}",
    )


# --- without ssh -------------------------------------------------------------------------


def _read_by_paramiko(file: str, place: Place) -> Words:
    """What Paramiko reads as OpenSSH would. Raises Unreachable for the rest."""
    import paramiko

    config = paramiko.SSHConfig()
    try:
        for name in (file, SYSTEM) if file == USUAL else (file,):
            config.parse(io.StringIO("".join(_lines(at_home(name), place))))
        found = config.lookup(place.name)
    except (paramiko.SSHException, OSError, ValueError, KeyError) as error:
        raise _wrong(place, str(error)) from error
    given = {key: [value] if isinstance(value, str) else value for key, value in found.items()}
    usual = {
        "identityfile": KEYS,
        "userknownhostsfile": [KNOWN_HOSTS],
        "globalknownhostsfile": [GLOBAL_KNOWN_HOSTS],
    }
    return {**usual, **given}


def _lines(path: Path, place: Place, depth: int = 0) -> Iterator[str]:
    """The lines of an `ssh_config` with its `Include`s, which Paramiko does not know."""
    if not path.is_file() or depth > 16:
        return
    block = ""
    for line in path.read_text(errors="replace").splitlines(keepends=True):
        word, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        if word.lower() == "host":
            block = line
        if word.lower() == "match" or (word.lower() == "include" and block):
            raise _wrong(place, f"only ssh itself can judge {line.strip()!r}: it is not installed")
        if word.lower() != "include":
            yield line
            continue
        for pattern in rest.replace('"', "").split():
            base = at_home("/etc/ssh" if path.is_relative_to("/etc/ssh") else "~/.ssh")
            found = base / at_home(pattern)
            for included in sorted(Path("/").glob(str(found.relative_to("/")))):
                yield from _lines(included, place, depth + 1)
        yield "\nHost *\n"
    yield "\nHost *\n"
