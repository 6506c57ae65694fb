"""Checks against real servers: what is well is called well, and nothing else ever is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backout.checks.examiner import Examiner
from backout.checks.judging import verdict
from backout.errors import Unreachable
from backout.model import Check, Cleanup, Finding, Host, SecretSource, Target, Verdict
from backout.ports import Transport
from backout.probes import KINDS
from support.clock import ManualClock
from support.looks import Backend, Secrets
from support.loopback import Answer, Asked, Web, authority
from support.ports import free_port
from support.transports import Shell

PASS, FAIL, ERROR, INCONCLUSIVE = Verdict


def options(kind: str, given: Mapping[str, Any] | str) -> Any:
    model = KINDS[kind].Options
    return model.model_validate({model.short: given} if isinstance(given, str) else given)


def check(name: str, kind: str, given: Mapping[str, Any] | str, *expect: str, **more: Any) -> Check:
    return Check(name=name, kind=kind, options=options(kind, given), expect=expect, **more)


def examine(*checks: Check, hosts: tuple[Host, ...] = (), **more: Any) -> tuple[Finding, ...]:
    names = more.pop("names", ())
    patient = more.pop("patient", False)
    target = Target(
        name="prod",
        hosts={host.name: host for host in hosts},
        checks={each.name: each for each in checks},
        secrets={"session": SecretSource(env="SESSION")},
        vars=more.pop("vars", {}),
    )
    given: dict[str, Any] = {
        "reach": lambda _: Shell(),
        "restarter_for": lambda _: Backend(),
        "vault": Secrets(session="r:my-own-session"),
        "clock": ManualClock(),
    }
    return Examiner(target, KINDS, **{**given, **more}).examine(names, patient=patient)


def one(*args: Any, **more: Any) -> Finding:
    (finding,) = examine(check("it", *args), **more)
    return finding


# --- false greens, each with its healthy twin --------------------------------------------


@pytest.mark.parametrize(
    ("expect", "sick", "well"),
    [
        ("body.queue_depth < 10", '{"queue": 5}', '{"queue_depth": 5}'),
        ("body.lag < 10", '{"lag": "unknown"}', '{"lag": 3}'),
        ("body.lag < 10", "<html>Bad gateway</html>", '{"lag": 3}'),
        ("body.lag < 10", '{"lag": null}', '{"lag": 3}'),
        ("body.lag < 10.0", '{"lag": NaN}', '{"lag": 3.5}'),
        ("body.lag != 10", '{"lag": NaN}', '{"lag": 3}'),
        ("body.lag != 10", '{"lag": null}', '{"lag": 3}'),
        ("body.error_rate <= 0.05", '{"error_rate": 0.93}', '{"error_rate": 0.01}'),
        ("size(body.items) < 5", "no items", '{"items": [1, 2]}'),
        ("body.events == 5e6", '{"events": 5000001}', '{"events": 5000000}'),
        ("body.queue < 10 || true", '{"q": 1}', '{"queue": 1}'),
        ("body.items.all(i, i.ok)", '{"items": [{}]}', '{"items": [{"ok": true}]}'),
        (
            "size(body.items) > 0 && body.items.all(i, i.ok)",
            '{"items": []}',
            '{"items": [{"ok": true}]}',
        ),
        ("body.status == 'ok'", '{"status": "ok"', '{"status": "ok"}'),
        ("body == {}", "", "{}"),
    ],
)
def test_a_false_green_is_never_a_pass(expect: str, sick: str, well: str) -> None:
    with Web(sick) as web:
        finding = one("http", web.url, "status == 200", expect)
    assert finding.verdict in (FAIL, ERROR)
    assert finding.reason
    with Web(well) as web:
        assert one("http", web.url, "status == 200", expect).verdict is PASS


def test_no_answer_is_below_no_limit() -> None:
    port = free_port()
    sick = one("http", f"http://127.0.0.1:{port}", "status < 300")
    assert sick.verdict is ERROR
    assert sick.reason == f"connection refused by 127.0.0.1:{port}"
    with Web() as web:
        assert one("http", web.url, "status < 300").verdict is PASS


def test_a_redirect_to_a_login_page_is_not_the_page() -> None:
    def login(asked: Asked) -> Answer:
        if asked.path == "/login":
            return Answer("<html>please log in</html>")
        return Answer(status=302, headers=[("Location", "/login")])

    with Web(login) as web:
        finding = one("http", web.url, "status == 200")
        followed = one("http", {"url": web.url, "follow": 3}, "status == 200", "body.ok")
    assert finding.verdict is FAIL
    assert finding.reason == "status == 200 (status is 302)"
    assert followed.verdict is ERROR


@pytest.mark.parametrize("status", [200, 500, 503])
def test_the_status_counts_whatever_the_body_says(status: int) -> None:
    with Web(Answer('{"status": "ok"}', status=status)) as web:
        finding = one("http", web.url, "status == 200", "body.status == 'ok'")
    assert finding.verdict is (PASS if status == 200 else FAIL)


def test_a_check_without_an_expectation_proves_nothing_though_all_answers() -> None:
    with Web() as web:
        findings = examine(
            check("http", "http", web.url),
            check("tcp", "tcp", f"127.0.0.1:{web.port}"),
            check("command", "command", "true"),
            check("service", "service", {}),
        )
    assert [finding.verdict for finding in findings] == [INCONCLUSIVE] * 3 + [PASS]
    assert verdict(findings) is INCONCLUSIVE


# --- hosts -------------------------------------------------------------------------------


def test_each_host_is_asked_itself_behind_one_name(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    certificate = ca.issue("shop.test", days=30)
    hosts = tuple(Host(name=f"web{n}", address=f"127.0.0.{n}", groups=("web",)) for n in (1, 2, 3))
    port = free_port([host.address for host in hosts])
    with (
        Web('{"ok": true}', address="127.0.0.1", port=port, certificate=certificate) as web1,
        Web('{"ok": false}', address="127.0.0.2", port=port, certificate=certificate) as web2,
    ):
        given = {"url": f"https://shop.test:{port}/health", "ca": str(ca.file)}
        findings = examine(check("alive", "http", given, "body.ok", on="web"), hosts=hosts)
    assert [(f.key, f.verdict) for f in findings] == [
        *(("alive@web1", PASS), ("alive@web2", FAIL), ("alive@web3", ERROR))
    ]
    assert findings[2].reason == f"connection refused by 127.0.0.3:{port}"
    for web in (web1, web2):
        assert web.asked[0].headers["host"] == f"shop.test:{port}"
        assert web.asked[0].sni == "shop.test"


def test_an_unreachable_host_is_an_error_and_hides_no_other() -> None:
    hosts = tuple(Host(name=f"web{n}", address="192.0.2.1", groups=("web",)) for n in (1, 2))

    def reach(host: Host | None) -> Transport:
        if host and host.name == "web1":
            raise Unreachable("no route to host", where="ssh web1")
        return Shell()

    disk = check("disk", "command", "echo 17", "int(stdout) < 90", on="web")
    findings = examine(disk, hosts=hosts, reach=reach)
    assert [(f.key, f.verdict) for f in findings] == [("disk@web1", ERROR), ("disk@web2", PASS)]
    assert findings[0].reason == "no route to host (ssh web1)"


def test_a_secret_reaches_a_command_by_its_environment_only() -> None:
    shown = check("shown", "command", "printf %s {{ secrets.session }}", "stdout == 'x'")
    shell = Revealing(Secrets(session="r:my-own-session"))
    (finding,) = examine(shown, reach=lambda _: shell)
    assert finding.verdict is FAIL
    assert "r:my-own-session" not in shell.scripts[0]
    assert "r:my-own-session" not in str(finding)
    assert finding.reason.endswith("(stdout is '[redacted]')")


class Revealing(Shell):
    """A shell that gets the secrets' values, as a real transport does."""

    def __init__(self, vault: Secrets) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self._vault = vault

    def run(self, command: Any) -> Any:
        self.scripts.append(command.script)
        env = tuple((name, self._vault.reveal(value)) for name, value in command.env)
        return super().run(replace(command, env=env))


# --- a smoke test that writes, reads back and cleans up ----------------------------------


class Concerts:
    """A small Parse-like application: what is added can be read and deleted."""

    def __init__(self, *, reads_back: bool = True) -> None:
        self.rows: dict[str, Any] = {}
        self._reads_back = reads_back

    def __call__(self, asked: Asked) -> Answer:
        name = asked.path.rpartition("/")[2]
        if asked.headers.get("x-session") != "r:my-own-session":
            return Answer('{"code": 209, "error": "invalid session token"}', status=400)
        if asked.method == "POST":
            self.rows["c1"] = json.loads(asked.body)
            result = {"objectId": "c1", "user": {"sessionToken": "r:somebody-elses"}}
            return Answer(json.dumps({"result": result}))
        if asked.method == "DELETE":
            return Answer("{}", status=200 if self.rows.pop(name, None) else 404)
        found = self.rows.get(name) if self._reads_back else None
        return Answer(json.dumps({"results": [found] if found else []}))


def smoke(url: str, *expect: str) -> tuple[Check, ...]:
    headers = {"X-Session": "{{ secrets.session }}"}
    gone = {
        "method": "DELETE",
        "url": f"{url}/concerts/{{{{ saved.concert }}}}",
        "headers": headers,
    }
    return (
        check(
            "add-concert",
            "http",
            {"url": f"{url}/functions/add", "headers": headers, "json": {"notes": "smoke"}},
            "status == 200",
            "has(body.result.objectId)",
            *expect,
            save={"concert": "body.result.objectId"},
            then=("read-back",),
            cleanup=Cleanup(kind="http", options=options("http", gone)),
        ),
        check(
            "read-back",
            "http",
            {"url": f"{url}/concerts/{{{{ saved.concert }}}}", "headers": headers},
            "size(body.results) == 1",
            "body.results[0].notes == 'smoke'",
        ),
    )


def test_a_smoke_test_reads_back_and_leaves_nothing() -> None:
    app = Concerts()
    with Web(app) as web:
        findings = examine(*smoke(web.url))
    assert [finding.verdict for finding in findings] == [PASS, PASS]
    assert [asked.method for asked in web.asked] == ["POST", "GET", "DELETE"]
    assert app.rows == {}


def test_a_200_that_cannot_be_read_back_is_no_proof() -> None:
    app = Concerts(reads_back=False)
    with Web(app) as web:
        findings = examine(*smoke(web.url))
    assert [finding.verdict for finding in findings] == [PASS, FAIL]
    assert verdict(findings) is FAIL
    assert app.rows == {}


def test_what_was_written_is_removed_though_the_check_failed() -> None:
    app = Concerts()
    with Web(app) as web:
        findings = examine(*smoke(web.url, "elapsed_ms < 0.0"))
    assert [finding.verdict for finding in findings] == [FAIL, INCONCLUSIVE]
    assert [asked.method for asked in web.asked] == ["POST", "DELETE"]
    assert app.rows == {}


def test_no_token_of_an_answer_or_of_ours_is_in_a_finding() -> None:
    with Web(Concerts()) as web:
        findings = examine(*smoke(web.url, "body.result.user.sessionToken == 'x'"))
    assert "r:somebody-elses" not in str(findings)
    assert "r:my-own-session" not in str(findings)
    assert "sessionToken" in findings[0].excerpt


def test_a_refused_call_says_what_the_server_said() -> None:
    with Web(Concerts()) as web:
        findings = examine(*smoke(web.url), vault=Secrets(session="r:wrong"))
    assert findings[0].verdict is FAIL
    assert findings[0].failed[0] == "status == 200"
    assert "status is 400" in findings[0].reason
    assert "209" in findings[0].excerpt
    assert findings[0].facts["body"]["code"] == 209
    assert "nothing was cleaned up: concert was not saved" in findings[0].reason


# --- coming up ---------------------------------------------------------------------------


def test_a_patient_check_waits_for_what_comes_up() -> None:
    """The clock of the retries is the server's start: each pause lets it come one step nearer."""
    port = free_port()
    pauses: list[float] = []
    servers: list[Web] = []

    class Starting(ManualClock):
        def sleep(self, seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 2:
                servers.append(Web(Answer("starting", status=503), port=port).__enter__())
            if len(pauses) == 4:
                servers[0].respond = lambda _: Answer('{"ok": true}')
            super().sleep(seconds)

    retrying = check(
        "alive",
        "http",
        f"http://127.0.0.1:{port}",
        "status == 200",
        "body.ok",
        retry={"for": "60s", "every": "2s"},
    )
    try:
        (finding,) = examine(retrying, clock=Starting(), patient=True)
    finally:
        for server in servers:
            server.__exit__()
    assert finding.verdict is PASS
    assert pauses == [2.0] * 4
