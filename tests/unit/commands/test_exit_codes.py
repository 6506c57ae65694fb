"""Every way Backout says no has the contract's code, and no upstream error passes its boundary."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backout import errors
from backout.adapters.storage.journal import SqliteJournal
from backout.adapters.transports import TRANSPORTS
from backout.adapters.transports.local import LocalTransport
from backout.adapters.transports.ssh import SshTransport
from backout.adapters.vault import Vault
from backout.balancers import BACKENDS as BALANCERS
from backout.config import loading, yaml_tree
from backout.errors import BackoutError, Mistakes, Refused, Unreachable
from backout.language import expressions, templates
from backout.model import Host, SecretSource, Service, Ssh, State
from backout.probes import KINDS as PROBES
from backout.registry import Tables
from backout.restarters import BACKENDS
from backout.steps import KINDS as STEPS
from support.looks import observe
from support.work import Bench

CONTRACT = {
    "BackoutError": 1,
    "Mistakes": 2,
    "Refused": 3,
    "Unreachable": 3,
    "HostKeyRefused": 3,
    "TakenOver": 3,
    "Unwritten": 3,
    "Unsettled": 3,
    "Damaged": 3,
    "Outdated": 3,
    "NotYet": 3,
    "Foreign": 3,
    "BackedOut": 4,
    "Incomplete": 5,
    "Unhealthy": 6,
    "Held": 7,
    "Interrupted": 8,
    "Inconclusive": 9,
}
NOBODY = "127.0.0.1"
HERE = Host(name="here", connection="local")


def family(kind: type[BackoutError]) -> Iterator[type[BackoutError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


def test_every_class_of_the_tree_has_the_contracts_code() -> None:
    mine = [kind for kind in family(BackoutError) if kind.__module__ == errors.__name__]
    assert {kind.__name__: kind.exit_code for kind in mine} == CONTRACT
    assert set(CONTRACT) <= set((errors.__doc__ or "").replace("(", " ").split())


def test_a_class_of_another_module_keeps_its_parents_code() -> None:
    others = [kind for kind in family(BackoutError) if kind.__module__ != errors.__name__]
    assert others
    assert all(kind.exit_code == kind.__mro__[1].exit_code for kind in others)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", list(CONTRACT), ids=str)
def test_an_error_is_three_lines(kind: str) -> None:
    error = getattr(errors, kind)("no space left", where="web1", state="as before", next="df -h")
    assert str(error).splitlines() == ["no space left (web1)", "state: as before", "next:  df -h"]


def runbook(path: Path, text: bytes) -> None:
    (path / "x.yaml").write_bytes(text)
    loading.load_runbook(path / "x.yaml", Tables(STEPS, BACKENDS, PROBES, TRANSPORTS, BALANCERS))


def not_a_database(path: Path) -> None:
    (path / "journal.db").write_bytes(b"nonsense " * 1000)
    SqliteJournal(path / "journal.db", str)


def a_locked_folder(path: Path) -> None:
    (path / "file").write_text("")
    SqliteJournal(path / "file/journal.db", str)


def nobody_listens(_path: Path) -> None:
    host = Host(name="web1", address=NOBODY, port=1)
    SshTransport(host, Ssh(config="/dev/null", connect_timeout=2), "home", Vault({})).open()


def no_key(path: Path) -> None:
    host = Host(name="web1", address=NOBODY, port=1)
    ssh = Ssh(config="/dev/null", identity=str(path / "gone"), connect_timeout=2)
    SshTransport(host, ssh, "home", Vault({})).open()


@pytest.mark.parametrize(
    ("force", "kind"),
    [
        pytest.param(lambda p: runbook(p, b"a: [b"), Mistakes, id="yaml"),
        pytest.param(lambda p: runbook(p, b"a: \xff"), Mistakes, id="UnicodeError"),
        pytest.param(lambda p: runbook(p, b"steps: [{run: {x: 1}}]"), Mistakes, id="pydantic"),
        pytest.param(lambda p: runbook(p, b"steps: [{wait: 1s, when: '=='}]"), Mistakes, id="cel"),
        pytest.param(lambda p: yaml_tree.read(p / "none", "none", []), Mistakes, id="OSError"),
        pytest.param(lambda _p: templates.render("{{ x", {}), Mistakes, id="jinja2 syntax"),
        pytest.param(lambda _p: templates.render("{{ x.y }}", {}), Mistakes, id="jinja2 name"),
        pytest.param(lambda _p: templates.render("{{ 1 / 0 }}", {}), Mistakes, id="in a template"),
        pytest.param(not_a_database, Refused, id="sqlite3"),
        pytest.param(a_locked_folder, Refused, id="sqlite3 and no folder"),
        pytest.param(nobody_listens, Unreachable, id="paramiko"),
        pytest.param(no_key, Refused, id="paramiko and no key"),
    ],
)
def test_an_upstream_error_is_translated_where_it_is_met(
    tmp_path: Path, force: Callable[[Path], None], kind: type[BackoutError]
) -> None:
    with pytest.raises(kind) as caught:
        force(tmp_path)
    assert caught.value.what
    assert not isinstance(caught.value, sqlite3.Error | OSError)


@pytest.mark.parametrize(
    "source",
    [{"env": "NOT_SET"}, {"file": "none"}, {"command": "exit 3"}],
    ids=["env", "file", "command"],
)
def test_a_secret_that_cannot_be_had_is_refused(tmp_path: Path, source: dict[str, str]) -> None:
    vault = Vault({"a": SecretSource(**source)}, tmp_path, environ={"PATH": "/usr/bin:/bin"})
    with pytest.raises(Refused):
        vault.fetch(["a"])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("http", {"url": f"http://{NOBODY}:1/"}),
        ("tcp", {"address": f"{NOBODY}:1"}),
        ("tls", {"address": f"{NOBODY}:1"}),
        ("sql", {"database": f"host={NOBODY} port=1 dbname=x", "query": "select 1"}),
        ("sql", {"database": "nonsense=1", "query": "select 1"}),
    ],
    ids=["pycurl", "tcp", "tls", "psycopg", "psycopg's own words"],
)
def test_what_a_probe_cannot_reach_is_an_observation(kind: str, options: dict[str, str]) -> None:
    seen = observe(PROBES[kind], options, timeout=2.0)
    assert seen.error or seen.facts.get("connected") is False


@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # left open by the Docker SDK
def test_an_engine_that_is_not_there_is_an_answer(tmp_path: Path) -> None:
    for kind in ("docker", "docker-compose"):
        options = BACKENDS[kind].Options(host=f"unix://{tmp_path}/none.sock")
        here = LocalTransport(HERE, str(tmp_path), Vault({}))
        restarter = BACKENDS[kind](Service(name="x", backend=kind, options=options), here)
        assert not restarter.identity().known
        with pytest.raises(Refused, match="cannot be read"):
            restarter.logs(5)
    gc.collect()


def test_an_expression_that_cannot_tell_says_so() -> None:
    for text in ("a.b == 1", "1 / 0 == 1", "'a' < 1", "=="):
        with pytest.raises(expressions.CannotTell):
            expressions.evaluate(text, {"a": {}})


def test_a_database_that_cannot_be_reached_fails_its_step(tmp_path: Path) -> None:
    trial = Bench(tmp_path).step("sql", {"database": f"host={NOBODY} port=1", "script": "select 1"})
    with pytest.raises(Refused, match="cannot be reached"):
        trial.before()
    assert trial.kind.act(trial.work).state is State.FAILED


def test_a_file_that_cannot_be_written_fails_its_step(tmp_path: Path) -> None:
    (tmp_path / "from").write_text("x")
    options = {"from": str(tmp_path / "from"), "to": str(tmp_path / "none/to")}
    trial = Bench(tmp_path).step("upload", options)
    assert trial.kind.act(trial.work).state is State.FAILED
