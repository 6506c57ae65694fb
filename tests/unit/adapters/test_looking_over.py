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
        primary.sql("CREATE ROLE ann LOGIN")
        primary.sql("GRANT ALL ON DATABASE postgres TO ann")
        look = looked_over(primary.dsn().replace("postgres@", "ann@"))["standby"]
        assert (look.ok, look.fix) == (None, "GRANT pg_read_all_stats TO ann;")
        assert look.detail == "walreceiver may follow asynchronously: role ann is not shown how"
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


@pytest.mark.parametrize(
    ("mode", "ok", "detail", "fix"),
    [
        ("transaction", True, "between here and the database, in a mode that will do", ""),
        ("session", True, "between here and the database, in a mode that will do", ""),
        (
            "statement",
            False,
            "between here and the database, and bears no transactions: 08P01 transaction blocks not"
            " allowed in statement pooling mode",
            "pool_mode = transaction",
        ),
    ],
)
def test_a_pooler_in_between_is_seen_by_itself(
    primary: Postgres, ledger: str, mode: str, ok: bool, detail: str, fix: str
) -> None:
    with pooled(primary, mode) as port:
        look = looked_over(ledger.replace(f":{primary.port}/", f":{port}/"))["pooler"]
    assert (look.ok, look.detail, look.fix) == (ok, detail, fix)


@pytest.mark.parametrize(
    ("setting", "ok", "detail"),
    [
        ("fsync = off", False, "off: a power cut of the server may lose the whole ledger"),
        ("full_page_writes = off", False, "off: a power cut of the server may leave torn pages"),
        (
            "synchronous_commit = off",
            False,
            "off: a crash of the server loses records that were acknowledged: a step may have acted"
            " without its way back",
        ),
        ("synchronous_commit = local", None, "local: a standby may lack what was acknowledged"),
        ("synchronous_commit = remote_write", True, "remote_write"),
        ("synchronous_commit = remote_apply", True, "remote_apply"),
    ],
)
def test_what_would_lose_a_record_is_an_error(
    primary: Postgres, ledger: str, setting: str, ok: bool | None, detail: str
) -> None:
    name = setting.partition(" ")[0]
    primary.sql(f"ALTER SYSTEM SET {setting}")
    primary.sql("SELECT pg_reload_conf()")
    try:
        eventually(lambda: looked_over(ledger)[name].detail == detail, saying=detail)
        look = looked_over(ledger)[name]
        fix = f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();"
        assert (look.ok, look.fix) == (ok, fix if ok is False else "")
    finally:
        primary.sql(f"ALTER SYSTEM RESET {name}")
        primary.sql("SELECT pg_reload_conf()")


@pytest.mark.parametrize(
    ("harm", "what", "fix"),
    [
        (
            "ALTER ROLE reader SET default_transaction_read_only = on; GRANT postgres TO reader",
            "its transactions are read-only for role reader",
            "default_transaction_read_only = off, for that role and database",
        ),
        (
            "GRANT USAGE ON SCHEMA backout TO reader;"
            " GRANT SELECT ON ALL TABLES IN SCHEMA backout TO reader",
            "role reader may not write to it",
            "GRANT postgres TO reader;",
        ),
    ],
)
def test_a_ledger_that_can_only_be_read_is_an_error(
    primary: Postgres, ledger: str, harm: str, what: str, fix: str
) -> None:
    looked_over(ledger)
    database = ledger.rpartition("/")[2]
    primary.sql(f"CREATE ROLE reader LOGIN; {harm}", database)
    try:
        look = looked_over(ledger.replace("postgres@", "reader@"))["ledger's schema"]
        assert (look.ok, look.fix) == (False, fix)
        assert look.detail.endswith(what)
    finally:
        primary.sql("DROP OWNED BY reader; DROP ROLE reader", database)


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
