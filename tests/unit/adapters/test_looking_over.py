"""What `doctor` says of a ledger's database, on real ones: a standby, a pooler, TLS."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.journal import PostgresJournal
from backout.adapters.storage.postgres.looking_over import Look
from support.journals import empty_ledger
from support.pgbouncer import pooled
from support.postgres import Postgres
from support.scratch import scratch
from support.tools import program
from support.wait import eventually

NAME = "db.example.test"
SAFE = ("shared_buffers=32MB", "max_wal_senders=2")
"""It keeps what it acknowledges, as one does whose settings nobody has touched."""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with scratch() as path:
        yield path


@pytest.fixture(scope="module")
def certificate(place: Path) -> Path:
    """Of a server of that name; whoever trusts it trusts it alone."""
    file = place / "server.pem"
    key = place / "server.key"
    words = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={NAME}"
    files = ["-keyout", str(key), "-out", str(file), "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run([program("openssl"), *words.split(), *files], check=True, capture_output=True)
    shutil.chown(key, "postgres", "postgres")
    return file


@pytest.fixture(scope="module")
def primary(place: Path, certificate: Path) -> Iterator[Postgres]:
    key = certificate.with_suffix(".key")
    secure = ("ssl=on", f"ssl_cert_file={certificate}", f"ssl_key_file={key}")
    with Postgres(place / "primary", (*SAFE, *secure)) as server:
        yield server


@pytest.fixture(scope="module")
def ledger(primary: Postgres) -> str:
    return empty_ledger(primary)


def looked_over(dsn: str) -> dict[str, Look]:
    with PostgresJournal(Address(dsn), str) as journal:
        return {look.name: look for look in journal.looked_over()}


def test_a_database_as_it_comes_keeps_what_it_acknowledges(ledger: str) -> None:
    found = looked_over(ledger)
    assert [look.name for look in found.values() if not look.ok] == []
    assert {"fsync", "full_page_writes", "synchronous_commit"} < found.keys()
    assert not {"standby", "pooler"} & found.keys()


def test_a_standby_is_told_of_and_cannot_be_the_ledger_itself(
    primary: Postgres, ledger: str, place: Path
) -> None:
    """It follows asynchronously as it comes; then the primary waits for it."""
    with primary.standby(place / "standby") as standby:
        eventually(lambda: "standby" in looked_over(ledger), saying="that it follows")
        look = looked_over(ledger)["standby"]
        assert look.ok is None
        assert "follows asynchronously; promoted, it lacks the last records" in look.detail
        own = ledger.replace(f":{primary.port}/", f":{standby.port}/")
        found = looked_over(own)["standby"]
        assert (found.ok, found.detail) == (False, "this is a standby, which cannot be written")
        assert "target_session_attrs=read-write" in found.fix
        both = ledger.replace("127.0.0.1", f"127.0.0.1:{standby.port},127.0.0.1")
        assert looked_over(f"{both}?target_session_attrs=read-write")["standby"].ok is None
        with psycopg.connect(primary.dsn(), autocommit=True) as db:
            db.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            db.execute("SELECT pg_reload_conf()")
            eventually(lambda: "standby" not in looked_over(ledger), saying="that it is waited for")
            db.execute("ALTER SYSTEM RESET synchronous_standby_names")
            db.execute("SELECT pg_reload_conf()")


def test_a_pooler_in_between_is_seen_by_itself(primary: Postgres, ledger: str) -> None:
    with pooled(primary) as port:
        look = looked_over(ledger.replace(f":{primary.port}/", f":{port}/"))["pooler"]
    assert (look.ok, look.detail) == (True, "between here and the database; any mode will do")


@pytest.mark.parametrize(
    ("words", "ok", "detail"),
    [
        ("sslmode=disable", False, "records travel unencrypted"),
        ("sslmode=require", None, "on, sslmode=require: who answers is not proved (verify-full)"),
        ("", None, "on, sslmode=prefer: who answers is not proved (verify-full)"),
        ("sslmode=verify-full&sslrootcert={}", True, "on, and the server's name is proved"),
    ],
)
def test_a_database_on_another_machine_is_spoken_to_in_secret(
    ledger: str, certificate: Path, words: str, ok: bool | None, detail: str
) -> None:
    far = f"{ledger.replace('127.0.0.1', NAME)}?hostaddr=127.0.0.1&{words.format(certificate)}"
    look = looked_over(far)["TLS"]
    assert (look.ok, look.detail) == (ok, detail)
