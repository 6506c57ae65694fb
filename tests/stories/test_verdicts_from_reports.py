"""What other health checkers were reported for: each false green is red or an error here, and its
healthy twin is green. One `verify` a kind, against real servers."""

from __future__ import annotations

import gzip
import json
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.loopback import Answer, Asked, Web
from support.pgbouncer import pooled
from support.postgres import Postgres
from support.project import Project

JSON = ("Content-Type", "application/json")


def verified(directory: Path, checks: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What one `verify --json` says of each check."""
    project = Project(directory)
    project.inventory("t", {"checks": {slug(name): checks[name] for name in checks}, **more})
    said = project.say("verify", "--target", "t", "--json")
    assert said.code in (0, 6, 9), said.out + said.err
    found = {check["name"]: check for check in said.data["checks"]}
    return {name: found[slug(name)] for name in checks}


def slug(name: str) -> str:
    return re.sub(r"\W+", "-", name)


# --- http --------------------------------------------------------------------------------


def gzipped(content: bytes, *, lost: int = 0, coding: str = "gzip") -> Answer:
    packed = gzip.compress(content)
    return Answer(packed[: len(packed) - lost], headers=[JSON, ("Content-Encoding", coding)])


def ago(**time: float) -> str:
    at = (datetime.now(UTC) - timedelta(**time)).isoformat(timespec="milliseconds")
    return json.dumps({"at": at.replace("+00:00", "Z")})


DEEP = '{"ok": true, "d": ' + "[" * 600 + "]" * 600 + "}"
DEEPER = '{"ok": true, "d": ' + "[" * 100_000 + "]" * 100_000 + "}"
HALF = r'{"ok": true, "name": "\ud83d", "names": ["a", "\ud83d"]}'
LONG = '{"ok": true, "n": ' + "9" * 5000 + ', "e": 1e99999}'
LATIN = Answer(
    '{"city": "Zürich"}'.encode("latin-1"), headers=[(JSON[0], f"{JSON[1]};charset=latin1")]
)
CUT = gzipped(b'{"ok": true}\n' + b"all is well\n" * 20 + b"PANIC: disk full\n", lost=14)
WHOLE = gzipped(b'{"ok": true}')
ODD = Answer('{"ok": true}', headers=[JSON, ("Content-Encoding", "UTF-8")])

TWICE = '{"status": "down", "ok": true, "status": "ok"}'
LONGER = Answer("all is well\n" * 100_000 + "PANIC: disk full\n")

HTTP: dict[str, tuple[Answer | str | Callable[[], str], str, str]] = {
    "a ratio above": ('{"used": 95, "total": 100}', "body.used / body.total < 0.9", "fail"),
    "a ratio below": ('{"used": 80, "total": 100}', "body.used / body.total < 0.9", "pass"),
    "a whole load": ('{"load": 2}', "body.load / 2.0 < 4.0", "pass"),
    "a load with a point": ('{"load": 1.5}', "body.load / 2.0 < 4.0", "pass"),
    "a load too high": ('{"load": 9}', "body.load / 2.0 < 4.0", "fail"),
    "a sum of decimals": ('{"a": 0.1, "b": 0.2}', "body.a + body.b <= 0.3", "pass"),
    "a sum above": ('{"a": 0.1, "b": 0.21}', "body.a + body.b <= 0.3", "fail"),
    "large and unequal": ('{"n": 9007199254740993}', "body.n == 9007199254740992.0", "fail"),
    "large and equal": ('{"n": 9007199254740993.0}', "body.n == 9007199254740993", "pass"),
    "beyond 64 bits": (f'{{"n": {2**70}}}', f"body.n == {2**70} && body.n > 1", "pass"),
    "beyond 64 bits, unequal": (f'{{"n": {2**70}}}', f"body.n == {2**70 + 1}", "fail"),
    "deep, not read": (DEEP, "status == 200 && body.ok == true && size(body.d) == 1", "pass"),
    "deep, read": (DEEP, "body.d == body.d", "error"),
    "deeper than can be parsed": (DEEPER, "status == 200 && text.startsWith('{')", "pass"),
    "deeper, read": (DEEPER, "!has(body.error)", "error"),
    "half an emoji, not read": (HALF, "status == 200 && body.ok == true", "pass"),
    "half an emoji, read": (HALF, "body.name != 'down'", "error"),
    "half an emoji in a list": (HALF, "!('down' in body.names)", "error"),
    "half an emoji, found before it": (HALF, "'a' in body.names && size(body.names) == 2", "pass"),
    "an endless number, not read": (LONG, "body.ok == true && has(body.n)", "pass"),
    "an endless number, read": (LONG, "body.n > 5", "error"),
    "an endless power, read": (LONG, "body.e > 5", "error"),
    "an unknown coding, not read": (ODD, "status == 200", "pass"),
    "an unknown coding, read": (ODD, "!text.contains('down')", "error"),
    "an unknown coding, parsed": (ODD, "!has(body.error)", "error"),
    "gzip cut short, not read": (CUT, "status == 200", "pass"),
    "gzip cut short, read": (CUT, "!text.contains('PANIC')", "error"),
    "gzip that is none": (gzipped(b"", lost=99), "size(text) == 0", "pass"),
    "gzip, whole": (WHOLE, "body.ok == true && text.contains('ok')", "pass"),
    "gzip twice": (
        Answer(
            gzip.compress(gzip.compress(b'{"ok": true}')),
            headers=[JSON, ("Content-Encoding", "gzip, x-gzip")],
        ),
        "body.ok == true",
        "pass",
    ),
    "a key with two values, read": (TWICE, "body.status == 'ok'", "error"),
    "a key with two values, not read": (TWICE, "body.ok == true", "pass"),
    "a number in other digits": ('{"n": "١٢"}', "int(body.n) == 12", "error"),
    "longer than is read, what may follow": (LONGER, "!text.contains('PANIC')", "error"),
    "longer than is read, no match": (LONGER, "!text.matches('(?i)panic')", "error"),
    "longer than is read, a match at its end": (LONGER, "text.matches('well\\\\s*$')", "error"),
    "longer than is read, its size": (LONGER, "size(text) > 5", "error"),
    "longer than is read, what is there": (
        LONGER,
        "text.contains('well') && text.matches('is w') && text.startsWith('all')",
        "pass",
    ),
    "longer than is read, not read": (LONGER, "status == 200 && truncated", "pass"),
    "latin-1 by its charset": (LATIN, "body.city == 'Zürich'", "pass"),
    "a byte-order mark": (
        "\ufeff" + '{"ok": true}',
        "body.ok == true && text.startsWith('{')",
        "pass",
    ),
    "fresh": (partial(ago, minutes=1), "now - timestamp(body.at) < duration('5m')", "pass"),
    "stale": (partial(ago, minutes=6), "now - timestamp(body.at) < duration('5m')", "fail"),
    "without its zone": ('{"at": "2099-01-01T00:00:00"}', "timestamp(body.at) > now", "error"),
}


@pytest.fixture(scope="module")
def of_http(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    answers = {f"/{number}": case[0] for number, case in enumerate(HTTP.values())}

    def respond(asked: Asked) -> Answer:
        answer = answers[asked.path]
        answer = answer() if callable(answer) else answer  # a time is one of this moment
        return Answer(answer.encode()) if isinstance(answer, str) else answer

    with Web(respond) as web:
        checks = {
            name: {"http": f"{web.url}/{number}", "expect": [expect]}
            for number, (name, (_, expect, _verdict)) in enumerate(HTTP.items())
        }
        return verified(tmp_path_factory.mktemp("http"), checks)


@pytest.mark.parametrize("name", HTTP)
def test_an_answer_is_judged_by_what_it_is(of_http: dict[str, Any], name: str) -> None:
    assert of_http[name]["verdict"] == HTTP[name][2], of_http[name]["reason"]


def test_an_error_says_what_cannot_be_had(of_http: dict[str, Any]) -> None:
    assert of_http["half an emoji, read"]["reason"] == (
        "cannot tell body.name != 'down': "
        "a value that cannot be had: text with half a surrogate pair"
    )
    assert "no whole gzip" in of_http["gzip cut short, read"]["reason"]


# --- redirects ---------------------------------------------------------------------------


def onward(asked: Asked) -> Answer:
    """Sends everybody on: to raw UTF-8, to a space, with a cookie, and by what the method is."""
    end = Answer(json.dumps({"method": asked.method, "cookie": asked.headers.get("cookie", "")}))
    to = {
        "/utf8": "/zürich".encode().decode("latin-1"),
        "/space": "/two words?q=a b",
        "/relative": "there",
        "/cookie": "/end",
        "/circle": "/circle",
    }.get(asked.path)
    if asked.path in ("/301", "/303"):
        return Answer(status=int(asked.path[1:]), headers=[("Location", "/end")])
    if to is None:
        known = {"/z%C3%BCrich", "/two%20words?q=a%20b", "/there", "/end"}
        return end if asked.path in known else Answer(status=404)
    return Answer(status=302, headers=[("Location", to), ("Set-Cookie", "session=abc; Path=/")])


REDIRECTS: dict[str, tuple[Any, str, str]] = {
    "raw UTF-8": ({"url": "/utf8"}, "status == 200", "pass"),
    "a space": ({"url": "/space"}, "status == 200", "pass"),
    "relative": ({"url": "/relative"}, "status == 200", "pass"),
    "its cookie": ({"url": "/cookie"}, "body.cookie == 'session=abc'", "pass"),
    "no cookie": ({"url": "/end"}, "body.cookie == ''", "pass"),
    "a PUT stays": ({"url": "/301", "method": "PUT"}, "body.method == 'PUT'", "pass"),
    "a POST becomes a GET": ({"url": "/301", "method": "POST"}, "body.method == 'GET'", "pass"),
    "see other is a GET": ({"url": "/303", "method": "PUT"}, "body.method == 'GET'", "pass"),
    "a circle": ({"url": "/circle"}, "status < 400", "error"),
    "not followed": ({"url": "/cookie", "follow": 0}, "status == 200", "fail"),
}


@pytest.fixture(scope="module")
def of_redirects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with Web(onward) as web:
        checks = {
            name: {
                "http": {"follow": 3, **options, "url": web.url + options["url"]},
                "expect": [expect],
            }
            for name, (options, expect, _verdict) in REDIRECTS.items()
        }
        return verified(tmp_path_factory.mktemp("redirects"), checks)


@pytest.mark.parametrize("name", REDIRECTS)
def test_a_redirect_is_followed_as_curl_does(of_redirects: dict[str, Any], name: str) -> None:
    assert of_redirects[name]["verdict"] == REDIRECTS[name][2], of_redirects[name]["reason"]


# --- sql ---------------------------------------------------------------------------------

TIMES = "SELECT * FROM (VALUES ({}), ({})) t(at)"
FRESH = TIMES.format("now()", "now() - interval '1 minute'")
STALE = TIMES.format("now()", "now() - interval '6 minutes'")
ENDLESS = TIMES.format("now()", "'infinity'::timestamptz")
USED = "SELECT {}::bigint AS used, 100::bigint AS total"
BEFORE = "SELECT 1 AS n, date '0044-03-15 BC' AS ides, '{2000-01-01,infinity}'::date[] AS days"
BIG = "SELECT 9007199254740993 AS a, 9007199254740992 AS b, 12345678901234567890.123 AS c"
LONGEST = "SELECT 10::numeric ^ 20000 AS n, 'NaN'::float8 AS nan, true AS ok"
RAW = r"""SELECT '{"ok": true, "name": "\ud83d", "n": 12345678901234567890.5}'::json AS it"""
JSON_DEEP = f"""SELECT '{"[" * 600}{"]" * 600}'::jsonb AS d, 2 AS n"""
MANY = "SELECT n, n < 1500 AS ok FROM generate_series(1, 2000) n"
RATE = "rows.all(r, now - timestamp(r.at) < duration('5m'))"

SQL: dict[str, tuple[str, str, str]] = {
    "bigints, a ratio above": (USED.format(95), "rows[0].used / rows[0].total < 0.9", "fail"),
    "bigints, a ratio below": (USED.format(80), "rows[0].used / rows[0].total < 0.9", "pass"),
    "large and unequal": (BIG, "rows[0].a == rows[0].b", "fail"),
    "large and greater": (BIG, "rows[0].a > rows[0].b && rows[0].a - rows[0].b == 1", "pass"),
    "a numeric, exactly": (BIG, "rows[0].c == 12345678901234567890.123", "pass"),
    "a numeric, not quite": (BIG, "rows[0].c == 12345678901234567890.124", "fail"),
    "infinity, not read": (ENDLESS, "count == 2", "pass"),
    "infinity, read": (ENDLESS, RATE, "error"),
    "fresh": (FRESH, RATE, "pass"),
    "stale": (STALE, RATE, "fail"),
    "before Christ, not read": (BEFORE, "rows[0].n == 1", "pass"),
    "before Christ, read": (BEFORE, "rows[0].ides < '2000'", "error"),
    "infinity in an array, read": (BEFORE, "size(rows[0].days) == 2", "error"),
    "a long numeric, not read": (LONGEST, "rows[0].ok", "pass"),
    "a long numeric, read": (LONGEST, "rows[0].n > 5", "error"),
    "NaN, read": (LONGEST, "rows[0].nan != 5.0", "error"),
    "a time, whatever the DateStyle": (
        "SELECT timestamptz '2024-01-30 20:00+00' AS at, interval '90 minutes' AS late",
        "timestamp(rows[0].at) == timestamp('2024-01-30T20:00:00Z') && "
        "duration(rows[0].late) == duration('1h30m')",
        "pass",
    ),
    "a float, whole": ("SELECT 0.1::float8 + 0.2::float8 AS x", "rows[0].x != 0.3", "pass"),
    "json, half an emoji, not read": (RAW, "rows[0].it.ok", "pass"),
    "json, half an emoji, read": (RAW, "rows[0].it.name != 'down'", "error"),
    "json, a long number": (RAW, "rows[0].it.n == 12345678901234567890.5", "pass"),
    "json, nested deep": (JSON_DEEP, "rows[0].n == 2 && size(rows[0].d) == 1", "pass"),
    "bytes and arrays": (
        r"SELECT '\xff00'::bytea AS b, ARRAY[[1,2],[3,4]] AS a, int4range(1, 5) AS r",
        "rows[0].b == 'ff00' && rows[0].a[1][0] == 3 && rows[0].r == '[1,5)'",
        "pass",
    ),
    "more rows than are read, all of them": (MANY, "rows.all(r, r.ok)", "error"),
    "more rows than are read, those that are picked": (
        MANY,
        "size(rows.filter(r, !r.ok)) == 0",
        "error",
    ),
    "more rows than are read, their number": (MANY, "size(rows) < 1500", "error"),
    "more rows than are read, one of them": (
        MANY,
        "count == 2000 && rows[0].ok && rows.exists(r, r.n == 3) && !rows.all(r, r.n < 9)",
        "pass",
    ),
    "a null in an array": ("SELECT ARRAY[true, NULL] AS a", "rows[0].a.all(x, x)", "error"),
    "money": ("SELECT 1234.5::money AS m", "rows[0].m > 5", "error"),
    "json, a key twice": (
        """SELECT '{"s": "down", "s": "ok"}'::json AS it""",
        "rows[0].it.s == 'ok'",
        "error",
    ),
    "two of one name, not read": ("SELECT 1 AS a, 2 AS a, 3 AS b", "rows[0].b == 3", "pass"),
    "two of one name, read": ("SELECT 1 AS a, 2 AS a, 3 AS b", "rows[0].a == 2", "error"),
}
RAW_TEXT: dict[str, tuple[str, str, str]] = {
    "no UTF-8, not read": ("SELECT 1 AS n, t FROM raw", "rows[0].n == 1", "pass"),
    "no UTF-8, read": ("SELECT 1 AS n, t FROM raw", "rows[0].t != 'down'", "error"),
}


@pytest.fixture(scope="module")
def of_sql(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two databases: a German one that rounds its floats, and one that takes any octets."""
    german = postgres.create_database("german")
    for setting in ("datestyle = 'German, DMY'", "intervalstyle = 'iso_8601'"):
        postgres.sql(f"ALTER DATABASE german SET {setting}")
    postgres.sql("ALTER DATABASE german SET extra_float_digits = -5")
    postgres.sql("CREATE DATABASE octets ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    octets = postgres.dsn("octets")
    postgres.sql("CREATE TABLE raw AS SELECT convert_from('\\xff61', 'SQL_ASCII') AS t", "octets")
    checks = {
        name: {"sql": {"database": f"{{{{ vars.{place} }}}}", "query": query}, "expect": [expect]}
        for place, cases in (("german", SQL), ("octets", RAW_TEXT))
        for name, (query, expect, _verdict) in cases.items()
    }
    where = {"german": german, "octets": octets}
    return verified(tmp_path_factory.mktemp("sql"), checks, vars=where)


@pytest.mark.parametrize("name", [*SQL, *RAW_TEXT])
def test_a_row_is_judged_by_what_it_is(of_sql: dict[str, Any], name: str) -> None:
    assert of_sql[name]["verdict"] == (SQL | RAW_TEXT)[name][2], of_sql[name]["reason"]


def test_many_checks_share_a_pooler_in_transaction_mode(postgres: Postgres, tmp_path: Path) -> None:
    postgres.create_database("pooled")
    with pooled(postgres) as port:
        url = f"postgresql://postgres@127.0.0.1:{port}/pooled"
        check = {"sql": {"database": url, "query": "SELECT 1 AS n"}, "expect": ["rows[0].n == 1"]}
        checks = {f"check {number}": check for number in range(20)}
        for again in ("once", "twice"):
            found = verified(tmp_path / again, checks)
            assert {one["verdict"] for one in found.values()} == {"pass"}, found


def test_a_database_that_says_nothing_is_told_as_that(postgres: Postgres, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        at = {"hole": hole.getsockname()[1], "well": postgres.port}
        checks = {
            name: {
                "sql": {
                    "database": f"postgresql://postgres@127.0.0.1:{port}/postgres",
                    "query": "SELECT 1",
                },
                "expect": ["count == 1"],
                "timeout": "2s",
            }
            for name, port in at.items()
        }
        found = verified(tmp_path, checks)
    assert found["well"]["verdict"] == "pass"
    assert (found["hole"]["verdict"], found["hole"]["reason"]) == ("error", "no answer within 2 s")


# --- a command ---------------------------------------------------------------------------

LOUD = "yes well | head -c 400000; echo PANIC; yes well | head -c 400000"


def test_of_a_long_output_nothing_is_told_that_may_be_in_its_middle(tmp_path: Path) -> None:
    cases = {
        "what may be there": ("!stdout.contains('PANIC')", "error"),
        "its size": ("size(stdout) > 5", "error"),
        "what is there": ("exit_code == 0 && stdout.contains('well') && stderr == ''", "pass"),
    }
    checks = {name: {"command": LOUD, "expect": [expect]} for name, (expect, _) in cases.items()}
    found = verified(tmp_path, checks)
    assert {name: found[name]["verdict"] for name in cases} == {
        name: verdict for name, (_, verdict) in cases.items()
    }


# --- in a run ----------------------------------------------------------------------------

ODDITIES: dict[str, Answer | str] = {
    "deep": DEEP,
    "deeper": DEEPER,
    "half": HALF,
    "long": LONG,
    "cut": CUT,
    "coding": ODD,
}


def test_what_cannot_be_shown_ends_no_deploy(tmp_path: Path) -> None:
    sick = tmp_path / "sick"

    def respond(asked: Asked) -> Answer:
        answer = ODDITIES[asked.path[1:]]
        answer = Answer(answer.encode()) if isinstance(answer, str) else answer
        return replace(answer, status=500 if sick.exists() else 200)

    project = Project(tmp_path / "project")
    with Web(respond) as web:
        expect = ["status == 200"]
        checks: dict[str, Any] = {
            name: {"http": f"{web.url}/{name}", "expect": expect} for name in ODDITIES
        }
        saves = {"save": {"all": "body"}, "expect": ["status > 0"], "baseline": "any"}
        checks["saved"] = {"http": f"{web.url}/half", **saves}
        project.inventory("t", {"checks": checks})
        step = {"name": "Break", "run": f"touch {sick}", "undo": f"rm -f {sick}"}
        project.runbook(
            "deploy",
            {
                "steps": [step],
                "settle": [{"name": "Prove it", "verify": "all"}],
                "diagnose": [
                    {"when": "failure.body.name == 'x'", "say": "never"},
                    {"when": "failure.status == 500 && has(failure.body.d)", "say": "it is deep"},
                ],
            },
        )
        said = project.say("deploy", "--target", "t", "--json")
        assert said.code == 4, said.out + said.err
        assert not sick.exists()
        reason = said.data["reason"]
        assert all(f"check {name} fails: status == 200" in reason for name in ODDITIES), reason
        assert said.data["advice"] == "it is deep"
        latin = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
        shown = project.say("show", said.data["run"], env=latin)
        assert shown.code == 0, shown.out + shown.err
        again = project.say("deploy", "--target", "t", env=latin)
        assert again.code == 4, again.out + again.err
