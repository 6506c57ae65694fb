"""`ssh_config`, logins and shells as people have them. The OpenSSH client is the witness: where
it goes, Backout goes, and what it refuses, Backout refuses."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backout.adapters.local_lock import LocalLock
from backout.adapters.transports.ssh import SshTransport
from backout.adapters.vault import Vault
from backout.errors import HostKeyRefused, Unreachable
from backout.model import Command, Host, Ssh
from backout.model.repository import OF_ANOTHER_REPOSITORY
from support.git_origin import GitOrigin
from support.ssh_bed import make_key, ssh_agent
from support.sshd import SshdBed, SshdHost
from support.tools import program
from support.yard import Yard

WHERE = "set -- $SSH_CONNECTION; echo $3 $(id -un)"
Going = Callable[..., str]


@pytest.fixture
def config(bed: SshdBed, tmp_path: Path) -> Path:
    return tmp_path / "ssh_config"


@pytest.fixture
def common(bed: SshdBed) -> str:
    """What every host of the bed needs, at the end of an `ssh_config`."""
    return (
        f"Host *\n  Port {bed.port}\n  User root\n  IdentityFile {bed.identity}\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {bed.known_hosts}\n"
        "  GlobalKnownHostsFile /dev/null\n  BatchMode yes\n  ConnectTimeout 30\n"
    )


@pytest.fixture
def going(config: Path) -> Iterator[Going]:
    """Where one comes out who asks for a host, as `ADDRESS USER`."""
    opened: list[SshTransport] = []

    def go(name: str, **ssh: object) -> str:
        given = Ssh.model_validate({"config": str(config), "connect_timeout": 30, **ssh})
        opened.append(SshTransport(Host(name=name), given, ".backout", Vault({})))
        result = opened[-1].run(Command(WHERE))
        assert result.ok, result.reason
        return result.stdout.strip()

    yield go
    for transport in opened:
        transport.close()


def openssh(config: Path, name: str) -> str:
    done = subprocess.run(
        [program("ssh"), "-F", str(config), name, WHERE],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout.strip()


_MASTER = "ControlMaster auto\n  ControlPath /tmp/%C\n  ControlPersist 1"
_LIVELY = "Port {port}\n  ServerAliveInterval 1\n  Compression yes"
_ASKED = 'Match exec "test %r = %u -a %p = {port}"'
CONFIGURATIONS = {
    "a Match with a capital": "Match Host staging\n  HostName 127.0.0.11\n",
    "a negated Match": "Match !host h0\n  HostName 127.0.0.11\n",
    "a Match of the name that was typed": "Match originalhost h0\n  HostName 127.0.0.12\n",
    "a final Match": "Match final host 127.0.0.10\n  User root\n",
    "a Match that asks a command": 'Match exec "test %n = h0"\n  HostName 127.0.0.11\n',
    "a Match that a command denies": "Match exec false\n  HostName 127.0.0.11\n",
    "a Match of several": "Match originalhost h0 user somebody\n  HostName 127.0.0.11\n",
    "two spellings of one key": "Host h0\n  hostname=127.0.0.12\n",
    "patterns that exclude": "Host h* !h0\n  HostName 127.0.0.11\n",
    "no jump above a jump": "Host h0\n  ProxyJump none\nHost h*\n  ProxyJump nowhere.invalid\n",
    "a jump over an alias": "Host h0\n  ProxyJump gw\nHost gw\n  HostName 127.0.0.12\n",
    "a jump with a user": "Host h0\n  ProxyJump root@gw\nHost gw\n  HostName 127.0.0.12\n",
    "two jumps": "Host h0\n  ProxyJump gw,h2\nHost gw h2\n  HostName 127.0.0.12\n",
    "two jumps over one machine": "Host h0\n  ProxyJump root@gw,root@gw\n"
    "Host gw\n  HostName 127.0.0.12\n",
    "files by a pattern": "Include {place}/conf.d/*.conf\n",
    "a file within a Host": "Host h0\n  Include {place}/conf.d/1*\n",
    "a file that is not there": "Include {place}/nowhere/*\nInclude none.conf\n",
    "a Match of a command with tokens": f"{_ASKED}\n  HostName 127.0.0.11\n",
    "a Match of a quoted host": 'Match host "h0,h1"\n  HostName 127.0.0.12\n',
    "a Match of all, late": "Host h0\n  HostName 127.0.0.12\nMatch all\n  HostName 127.0.0.11\n",
    "names made canonical": "CanonicalizeHostname yes\nCanonicalDomains invalid\n"
    "CanonicalizeFallbackLocal yes\nMatch canonical host h0\n  HostName 127.0.0.11\n",
    "a control master": f"Host h0\n  {_MASTER}\n",
    "an environment": "Host h0\n  SetEnv A=b C=d\n  SendEnv LC_*\n",
    "tabs, CRLF and comments": "# ours\r\nHost\th0 \r\n\tHostName\t127.0.0.12\r\n",
    "a family and a bind address": "Host h0\n  AddressFamily inet\n  BindAddress 127.0.0.1\n",
    "a port that a Match gives": f"Match host h0\n  {_LIVELY}\n",
    "a command of the host's own": "Host h0\n  RequestTTY no\n  LogLevel ERROR\n  Tunnel no\n",
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_where_openssh_goes_backout_goes(
    config: Path, common: str, going: Going, bed: SshdBed, name: str
) -> None:
    place = config.parent
    (place / "conf.d").mkdir()
    (place / "conf.d/10-first.conf").write_text("HostName 127.0.0.12\n")
    (place / "conf.d/20-more.conf").write_text("Host h1\n  HostName 127.0.0.11\n")
    text = CONFIGURATIONS[name].format(place=place, port=bed.port)
    config.write_text(f"{text}Host h0\n  HostName 127.0.0.10\n{common}")

    assert going("h0") == openssh(config, "h0") != ""


def test_tokens_are_filled_in_as_openssh_fills_them(
    config: Path, common: str, going: Going, bed: SshdBed, tmp_path: Path
) -> None:
    (tmp_path / "key of root").symlink_to(bed.identity)
    (tmp_path / "hosts 10").write_text(bed.known_hosts.read_text())
    config.write_text(
        f'Host 1?\n  HostName 127.0.0.%h\n  IdentityFile "{tmp_path}/key of %r"\n'
        f'  UserKnownHostsFile "{tmp_path}/hosts %n"\n'
        f"  ProxyCommand ssh -F {tmp_path}/jump -l %r -W %h:%p gw 2>/dev/null\n"
        f"Host *\n  Port {bed.port}\n  User root\n  BatchMode yes\n"
    )
    (tmp_path / "jump").write_text(f"Host gw\n  HostName 127.0.0.11\n{common}")

    assert going("10") == openssh(config, "10") == "127.0.0.10 root"


def test_a_host_is_known_by_its_alias_and_by_no_other_name(
    config: Path, common: str, going: Going, bed: SshdBed, tmp_path: Path
) -> None:
    """Two machines behind one address, as with a port that is forwarded."""
    keys = {host.name: host.public_key.split()[:2] for host in bed}
    known = tmp_path / "aliases"
    known.write_text(f"first {' '.join(keys['web1'])}\nsecond {' '.join(keys['web2'])}\n")
    config.write_text(
        "".join(
            f"Host {name}\n  HostName 127.0.0.10\n  HostKeyAlias {alias}\n"
            f"  UserKnownHostsFile {known}\n"
            for name, alias in (("h1", "first"), ("h2", "second"), ("h3", "third"))
        )
        + common
    )

    assert going("h1") == openssh(config, "h1") != ""
    with pytest.raises(HostKeyRefused, match="not the one on record"):
        going("h2")
    with pytest.raises(HostKeyRefused, match="is unknown") as refused:
        going("h3")
    assert f"| sed 's/^[^ ]*/third/' >> {known}" in refused.value.next


def test_a_key_on_record_without_a_port_will_do_as_it_does_for_openssh(
    config: Path, common: str, going: Going, bed: SshdBed, tmp_path: Path
) -> None:
    known = tmp_path / "plain"
    known.write_text(f"127.0.0.10 {' '.join(bed['web1'].public_key.split()[:2])}\n")
    config.write_text(f"Host h0\n  HostName 127.0.0.10\n  UserKnownHostsFile {known}\n{common}")

    assert going("h0") == openssh(config, "h0") != ""


def test_records_that_are_kept_nowhere_let_nobody_in_and_the_cure_says_where_to_keep_them(
    config: Path, common: str, going: Going
) -> None:
    config.write_text(
        "Host h0\n  HostName 127.0.0.10\n  UserKnownHostsFile /dev/null\n"
        f"  StrictHostKeyChecking no\n{common}"
    )

    with pytest.raises(HostKeyRefused, match="is unknown") as refused:
        going("h0")

    assert ">> known_hosts, and name that file as ssh.known_hosts" in refused.value.next


@pytest.fixture
def agent(bed: SshdBed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The socket of an agent that holds the bed's key, and that no variable names."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with ssh_agent(tmp_path / "agent.sock", bed.identity):
        yield tmp_path / "agent.sock"


def test_the_agent_that_ssh_config_names_opens_a_host_and_is_forwarded(
    config: Path, common: str, going: Going, bed: SshdBed, agent: Path, tmp_path: Path
) -> None:
    public, foreign = tmp_path / "id.pub", tmp_path / "other"
    public.write_text(bed.identity.with_suffix(".pub").read_text())
    make_key(foreign, "other")
    without = common.replace(f"  IdentityFile {bed.identity}\n", "")
    blocks = {
        "h1": f"IdentityAgent {agent}\n  IdentityFile {public}\n  ForwardAgent yes",
        "h2": f"IdentityAgent {agent}\n  IdentityFile {foreign}",
        "h3": f"IdentityAgent none\n  IdentityFile {public}",
    }
    config.write_text(
        "".join(f"Host {n}\n  HostName 127.0.0.10\n  {text}\n" for n, text in blocks.items())
        + without
    )

    assert going("h1") == openssh(config, "h1") != ""
    for name in ("h2", "h3"):
        assert openssh(config, name) == ""
        with pytest.raises(Unreachable, match=r"does not let root@127|No authentication methods"):
            going(name)
    given = Ssh(config=str(config))
    h1 = SshTransport(Host(name="h1"), given, ".backout", Vault({}))
    listed = h1.run(Command("ssh-add -l"))
    h1.close()
    assert "ED25519" in listed.stdout


def test_a_key_with_its_certificate_elsewhere_opens_a_host(
    config: Path, common: str, going: Going, bed: SshdBed, tmp_path: Path, web1: SshdHost
) -> None:
    for name in ("ca", "key"):
        make_key(tmp_path / name, name)
    sign = ("ssh-keygen", "-q", "-s", str(tmp_path / "ca"), "-I", "x", "-n", "root")
    subprocess.run([*sign, str(tmp_path / "key.pub")], check=True)
    (tmp_path / "key-cert.pub").rename(tmp_path / "signed.pub")
    web1.configure(TrustedUserCAKeys=str(tmp_path / "ca.pub"))
    config.write_text(
        f"Host h0\n  HostName 127.0.0.10\n  IdentityFile {tmp_path}/key\n"
        f"  CertificateFile {tmp_path}/signed.pub\n"
        + common.replace(f"  IdentityFile {bed.identity}\n", "")
    )

    assert going("h0") == openssh(config, "h0") == "127.0.0.10 root"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Match localnet 127.0.0.0/8\n  User nobody\n", "Bad Match condition|nsupported Match"),
        ("Host h0\n  ProxyJump h0\n", "in a circle|jumphost loop"),
        ("Host h0\n  ProxyJump h1\nHost h1\n  ProxyJump h0\n", "in a circle|jumphost loop"),
        ("Host h0\n  ForwardAgent /tmp/x\n", "ForwardAgent /tmp/x"),
        ("Host h0\n  NoSuchWord yes\n", "Bad configuration option: nosuchword"),
        ("Host h0\n  PubkeyAuthentication no\n", "lets nobody log in by a key"),
        ("Host h0\n  PreferredAuthentications password\n", "lets nobody log in by a key"),
    ],
)
def test_what_openssh_refuses_or_backout_cannot_follow_is_refused_in_words(
    config: Path, common: str, going: Going, text: str, words: str
) -> None:
    config.write_text(f"{text}Host h*\n  HostName 127.0.0.10\n{common}")

    with pytest.raises(Unreachable, match=words) as refused:
        going("h0")
    assert refused.value.exit_code == 3
    assert "h0" in refused.value.what


def test_without_ssh_its_configuration_is_read_as_far_as_that_is_certain(
    config: Path, common: str, going: Going, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    plain = f"Host h0\n  HostName 127.0.0.10\n  ProxyJump none\n{common}"
    (tmp_path / "more").write_text(plain)
    config.write_text(f"Include {tmp_path}/more\n")
    assert going("h0") == "127.0.0.10 root"

    config.write_text(f"Match Host staging\n  HostName 127.0.0.11\n{plain}")
    with pytest.raises(Unreachable, match="only ssh itself can judge 'Match Host staging'"):
        going("h0")


@pytest.fixture
def aliases(bed: SshdBed, tmp_path: Path, config: Path) -> Iterator[Yard]:
    """A project whose hosts are aliases, and whose keys only `ssh_config` knows where to find."""
    config.write_text(
        f"Host h0\n  HostName {bed['web1'].address}\nHost h1\n  HostName {bed['web2'].address}\n"
        f"Host *\n  Port {bed.port}\n  User root\n  IdentityFile {bed.identity}\n"
        f"  UserKnownHostsFile {bed.known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
    )
    hosts = {name: {"groups": ["web"]} for name in ("h0", "h1")}
    with Yard(tmp_path, bed, hosts=hosts, ssh={"config": str(config)}) as yard:
        yield yard


def test_every_verb_finds_the_keys_where_ssh_config_says(aliases: Yard) -> None:
    aliases.runbook(aliases.step("A"))
    aliases.good_release()
    aliases.good_release()
    aliases.runbook(aliases.step("A"), aliases.step("B", before="exit 1"))

    assert aliases.deploy().code == 4
    rolled = aliases.say("rollback")

    assert rolled.code == 0, rolled.out
    assert aliases.say("status").code == 0

    for verb, code in (("abort", 4), ("resume", 0)):
        aliases.runbook(aliases.step("Slow", before=aliases.hold(verb)))
        process = aliases.start()
        aliases.busy("Slow-h0")
        process.kill()
        process.communicate()
        aliases.let_go(verb)
        said = aliases.say(verb)
        assert said.code == code, said.out + said.err


def test_a_check_on_an_alias_goes_to_the_host_behind_it(aliases: Yard, bed: SshdBed) -> None:
    """Nothing resolves `app.example.invalid` or `h0`; the port is a banner of sshd."""
    port = bed.port
    aliases.inventory(
        checks={
            "tcp": {
                "tcp": {"address": port, "banner": True},
                "on": "all",
                "expect": ["banner.startsWith('SSH-2.0')"],
            },
            "http": {
                "http": f"http://app.example.invalid:{port}/",
                "on": "all",
                "expect": ["status == 200"],
            },
            "tls": {"tls": f"app.example.invalid:{port}", "on": "all", "expect": ["tls.verified"]},
        }
    )

    rows = {(row["name"], row["host"]): row for row in aliases.say("verify").data["checks"]}

    assert rows["tcp", "h0"]["verdict"] == rows["tcp", "h1"]["verdict"] == "pass"
    for key, row in rows.items():
        assert "resolve" not in row["reason"], key


def test_the_usual_files_are_those_below_home(
    common: str, bed: SshdBed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ssh itself takes the home that the user database names; here `~` is HOME everywhere."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/known_hosts").write_text(bed.known_hosts.read_text())
    (tmp_path / ".ssh/id_ed25519").symlink_to(bed.identity)
    (tmp_path / ".ssh/config").write_text(
        f"Host h0\n  HostName 127.0.0.10\n  Port {bed.port}\n  User root\n"
    )
    h0 = SshTransport(Host(name="h0"), Ssh(), ".backout", Vault({}))

    assert h0.run(Command(WHERE)).stdout == "127.0.0.10 root\n"

    h0.close()


# --- logins --------------------------------------------------------------------------------


@pytest.fixture
def web1(bed: SshdBed) -> Iterator[SshdHost]:
    """A host whose login may be given a start-up file."""
    yield bed["web1"]
    (bed["web1"].home / ".bashrc").unlink(missing_ok=True)
    bed["web1"].restore()


@pytest.mark.parametrize(
    "subsystem", ["sftp /usr/lib/openssh/sftp-server", "none /bin/false"], ids=["Debian's", "none"]
)
def test_a_file_arrives_whatever_the_host_makes_of_sftp(
    bed: SshdBed, web1: SshdHost, tmp_path: Path, subsystem: str
) -> None:
    web1.configure(Subsystem=subsystem)
    (web1.home / ".bashrc").write_text("echo hi; echo there >&2\n")
    content = bytes(range(256)) * 1000 + b"no newline at the end"
    with Yard(tmp_path, bed) as yard:
        (yard.project.directory / "app.env").write_bytes(content)
        target = tmp_path / "it's the app's.env"
        upload = {"from": "app.env", "to": str(target), "mode": "0640"}
        yard.runbook({"name": "Configure", "upload": upload, "on": "web1"})

        said = yard.deploy()

    assert said.code == 0, said.out + said.err
    assert target.read_bytes() == content
    assert target.stat().st_mode & 0o777 == 0o640


def test_another_repositorys_variables_lead_no_step_astray(
    bed: SshdBed, web1: SshdHost, tmp_path: Path, git_origin: GitOrigin
) -> None:
    """Whatever a hook hands on here, and a login exports there (as people have it who keep their
    own settings in a bare repository)."""
    own, srv = tmp_path / "own", tmp_path / "srv"
    git_origin.clone(own)
    values = {
        **dict.fromkeys(OF_ANOTHER_REPOSITORY, "1"),
        **dict.fromkeys(("GIT_DIR", "GIT_COMMON_DIR"), f"{own}/.git"),
        **dict.fromkeys(("GIT_OBJECT_DIRECTORY", "GIT_QUARANTINE_PATH"), f"{own}/.git/objects"),
        "GIT_INDEX_FILE": f"{own}/.git/index",
        "GIT_WORK_TREE": str(own),
        "GIT_CONFIG_PARAMETERS": "'core.bare'='true'",
        "GIT_NAMESPACE": "other",
        "GIT_ATTR_SOURCE": "HEAD~9",
    }
    exports = (f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    (web1.home / ".bashrc").write_text("".join(exports))
    source = {"repository": str(git_origin.copy), "directory": str(srv)}
    (tmp_path / "yard").mkdir()
    with Yard(tmp_path / "yard", bed, source=source) as yard:
        yard.inventory(hosts={"web1": bed.inventory_hosts()["web1"]})
        yard.runbook(
            {"name": "Commit", "commit": "Release"},
            {"name": "Push", "push": {}},
            {"name": "Update", "update": {}, "on": "web1"},
        )
        yard.project.env |= values
        for number in ("2", "3"):
            git_origin.good_change()
            said = yard.deploy()
            assert said.code == 0, said.out
            assert said.data["hosts"]["web1"]["release"]["commit"] == git_origin.published()
            assert (srv / "RELEASE").read_text() == f"{number}\n"

        said = yard.say("rollback")

        assert said.code == 0, said.out
        assert yard.say("status").code == 0
    assert (srv / "RELEASE").read_text() == "2\n"
    assert (own / "RELEASE").read_text() == "1\n"


def test_whoever_is_refused_does_not_wait_for_a_host_that_was_called_meanwhile(
    bed: SshdBed, web1: SshdHost, tmp_path: Path
) -> None:
    """Hosts are called before it is known whether the run may begin; this one lets nobody in for
    longer than a test may take."""
    (web1.home / ".bashrc").write_text("sleep 3600\n")
    ssh = {**bed.inventory_ssh(), "connect_timeout": 3600}
    with Yard(tmp_path, bed, ssh=ssh) as yard:
        yard.runbook(yard.step("A"))
        with LocalLock(yard.project.directory / ".backout", "prod").hold("run-7"):
            said = yard.start()
            out, _ = said.communicate(timeout=120)
    assert said.returncode == 7, out
    assert "run-7" in out


@pytest.mark.parametrize("start_up", ["sleep 60", "exec fish", "[[ $- = *i* ]] || exit 3"])
def test_a_login_that_gives_no_shell_is_said_by_doctor_and_refuses_a_deploy(
    bed: SshdBed, web1: SshdHost, tmp_path: Path, start_up: str
) -> None:
    (web1.home / ".bashrc").write_text(f"{start_up}\n")
    ssh = {**bed.inventory_ssh(), "connect_timeout": 4}
    with Yard(tmp_path, bed, ssh=ssh) as yard:
        yard.runbook(yard.step("A"))

        doctor, deploy = yard.say("doctor"), yard.deploy()

        assert yard.effects() == {}
    assert doctor.code == deploy.code == 3
    for said in (doctor, deploy):
        assert "web1" in said.out
        assert "starts no shell" in said.out
        assert "do without a terminal: ssh " in said.out
    assert not (web1.home / ".backout").exists(), "nothing was begun that comes to life later"
