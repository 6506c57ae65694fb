"""What observations prove, what a run makes of it, and what may be shown of it."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.checks import judging
from backout.checks.examiner import PACE, WORKERS, Examiner
from backout.errors import Mistakes, Refused, Unreachable
from backout.model import (
    Check,
    Cleanup,
    Finding,
    Host,
    Observation,
    Options,
    Release,
    Retry,
    Rule,
    SecretSource,
    Target,
    Verdict,
)
from backout.ports import ProbeRequest, Transport
from support.clock import ManualClock
from support.looks import Backend, Secrets
from support.transports import Shell

PASS, FAIL, ERROR, INCONCLUSIVE = Verdict


class SayOptions(Options):
    short: ClassVar[str] = "say"
    say: str = ""


def check(name: str = "alive", *expect: str, say: str = "", **more: Any) -> Check:
    return Check(name=name, kind="say", options=SayOptions(say=say), expect=expect, **more)


def found(name: str, verdict: Verdict, host: str | None = None, **more: Any) -> Finding:
    return Finding(check=name, host=host, verdict=verdict, **more)


def judged(*expect: str, **facts: Any) -> Finding:
    return judging.judge(check("alive", *expect), Observation(facts), {})


# --- judging -----------------------------------------------------------------------------


def test_a_check_passes_when_everything_expected_holds() -> None:
    finding = judged("status == 200", "body.status == 'ok'", status=200, body={"status": "ok"})
    assert finding.verdict is PASS
    assert (finding.failed, finding.reason) == ((), "")
    assert finding.facts["status"] == 200


def test_a_failed_expectation_is_told_with_what_came() -> None:
    body = {"status": "degraded", "token": "s3cret-value"}
    finding = judged("status == 200", "body.status == 'ok'", status=200, body=body)
    assert finding.verdict is FAIL
    assert finding.failed == ("body.status == 'ok'",)
    assert finding.reason == "body.status == 'ok' (body.status is 'degraded')"


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        ("status in [200, 204] && size(body.items) > 5", "status is 200, body.items is [1, 2]"),
        ("headers['x-a'] == 'b' && status == 1", "headers['x-a'] is 'c', status is 200"),
        ("text.startsWith('status') || false", "text is 'all well'"),
        ("body.token == 'x'", "body.token is [redacted]"),
        ("has(body.gone) && body.gone == 1", "body.gone is missing"),
        ("1 == 2", ""),
    ],
)
def test_only_names_are_told_never_words_in_quotes(expect: str, told: str) -> None:
    finding = judged(
        expect,
        status=200,
        headers={"x-a": "c"},
        text="all well",
        body={"items": [1, 2], "token": "abc"},
    )
    assert finding.verdict is FAIL
    assert finding.reason == (f"{expect} ({told})" if told else expect)


@pytest.mark.parametrize(
    ("expect", "facts"),
    [
        ("body.queue_depth < 10", {"body": {}}),
        ("body.lag < 10", {"body": {"lag": "unknown"}}),
        ("body.lag < 10", {}),
        ("body.lag < 10", {"body": {"lag": None}}),
        ("body.lag < 10.0", {"body": {"lag": float("nan")}}),
        ("size(body.items) < 5", {}),
        ("size(body.items) < 5", {"body": {"items": 3}}),
        ("status < 300", {}),
        ("body", {"body": "yes"}),
        ("body.ok || true", {"body": {}}),
        ("true &&", {}),
        ("baseline.verdict == 'pass'", {}),
    ],
)
def test_what_cannot_be_told_is_an_error_with_its_reason(
    expect: str, facts: dict[str, Any]
) -> None:
    finding = judged(expect, **facts)
    assert finding.verdict is ERROR
    assert finding.failed == ()
    assert finding.reason.startswith(f"cannot tell {expect}: ")
    assert len(finding.reason) > len(f"cannot tell {expect}: ")


def test_a_name_that_did_not_come_is_explained() -> None:
    offered = {"body": "the parsed JSON body", "status": "the status code"}
    seen = Observation({"status": 200})
    finding = judging.judge(check("alive", "body.lag < 10"), seen, {}, (), offered)
    assert finding.reason == "cannot tell body.lag < 10: no body came (the parsed JSON body)"


def test_a_clear_failure_outweighs_what_cannot_be_told() -> None:
    finding = judged("body.gone == 1", "status == 200", status=500, body={})
    assert finding.verdict is FAIL
    assert finding.failed == ("status == 200",)


def test_a_transport_error_is_never_judged_on() -> None:
    observation = Observation({"status": 200}, error="connection refused by 127.0.0.1:8080")
    finding = judging.judge(check("alive", "true", "status == 200"), observation, {})
    assert finding.verdict is ERROR
    assert finding.reason == "connection refused by 127.0.0.1:8080"


def test_to_expect_nothing_proves_nothing() -> None:
    assert judged(status=200).verdict is INCONCLUSIVE
    assert judged(status=200).reason


def test_a_kind_that_judges_itself_needs_no_expectation() -> None:
    up = Observation({"service": {"up": True}})
    down = Observation({"service": {"up": False}})
    assert judging.judge(check(), up, {}, ("service.up",)).verdict is PASS
    assert judging.judge(check(), down, {}, ("service.up",)).verdict is FAIL
    own = check("alive", "service.up == false")
    assert judging.judge(own, down, {}, ("service.up",)).verdict is PASS


def test_what_is_saved_is_an_expression_and_must_be_there() -> None:
    body = {"result": {"objectId": "x1"}}
    saving = check("add", "true", save={"concert": "body.result.objectId"})
    finding = judging.judge(saving, Observation({"body": body}), {})
    assert (finding.verdict, finding.saved) == (PASS, {"concert": "x1"})
    lost = judging.judge(saving, Observation({"body": {}}), {})
    assert (lost.verdict, lost.saved) == (ERROR, {})
    assert lost.reason.startswith("cannot save concert: ")


def test_a_failed_check_saves_what_it_can_for_its_cleanup() -> None:
    saving = check("add", "status == 200", save={"concert": "body.id"})
    finding = judging.judge(saving, Observation({"status": 500, "body": {"id": 7}}), {})
    assert (finding.verdict, finding.saved) == (FAIL, {"concert": 7})


def test_expectations_know_the_target_the_host_and_the_baseline() -> None:
    scope = {
        "target": {"name": "prod"},
        "host": {"name": "web1", "vars": {"weight": 2}},
        "vars": {"limit": 5},
        "saved": {"id": "x"},
        "baseline": {"verdict": "pass", "body": {"count": 3}},
    }
    expect = (
        "target.name == 'prod' && host.vars.weight == 2 && vars.limit == 5",
        "saved.id == 'x' && baseline.verdict == 'pass' && body.count >= baseline.body.count",
    )
    finding = judging.judge(check("alive", *expect), Observation({"body": {"count": 4}}), scope)
    assert finding.verdict is PASS
    assert finding.key == "alive@web1"


# --- the whole ---------------------------------------------------------------------------


@given(st.lists(st.sampled_from(list(Verdict)), max_size=6))
def test_the_whole_is_as_bad_as_its_worst(verdicts: list[Verdict]) -> None:
    whole = judging.verdict([found("x", verdict) for verdict in verdicts])
    order = [FAIL, ERROR, INCONCLUSIVE, PASS]
    assert whole is (min(verdicts, key=order.index) if verdicts else INCONCLUSIVE)


CHECKS = {
    "alive": check("alive", "true"),
    "fix": check("fix", "true", baseline="fails", then=("read",)),
    "read": check("read", "true"),
    "either": check("either", "true", baseline="any"),
}


def keys(*names: str) -> frozenset[str]:
    return frozenset(names)


@pytest.mark.parametrize(
    ("verdict", "refused"),
    [(PASS, False), (FAIL, True), (ERROR, True), (INCONCLUSIVE, True)],
)
def test_a_baseline_that_does_not_pass_refuses_the_change(verdict: Verdict, refused: bool) -> None:
    red = [found("alive", verdict, "web1", reason="status is 500")]
    reasons = judging.baseline_refusals(red, CHECKS)
    assert bool(reasons) is refused
    assert all("alive@web1" in each and "status is 500" in each for each in reasons)
    assert judging.baseline_refusals(red, CHECKS, ["alive"]) == ()
    assert judging.baseline_refusals(red, CHECKS, first=True) == ()


def test_there_must_be_something_to_fix() -> None:
    green = [found("fix", PASS), found("read", PASS)]
    reasons = judging.baseline_refusals(green, CHECKS)
    assert reasons == ("check fix passes already: there is nothing to fix",)
    red = [found("fix", FAIL), found("read", INCONCLUSIVE), found("either", FAIL)]
    assert judging.baseline_refusals(red, CHECKS) == ()


def test_after_the_change_all_must_pass() -> None:
    after = [found("alive", FAIL), found("either", FAIL), found("fix", FAIL), found("read", FAIL)]
    before = [found("alive", PASS), found("either", FAIL), found("fix", FAIL)]
    assert judging.required(after, before, CHECKS) == keys("alive", "either", "fix", "read")
    between = judging.required(after, before, CHECKS, final=False)
    assert between == keys("alive", "either")


def test_an_accepted_check_is_excused_only_where_it_was_red() -> None:
    after = [
        found("alive", FAIL, "web1"),
        found("alive", FAIL, "web2"),
        found("alive", FAIL, "new"),
    ]
    before = [found("alive", FAIL, "web1"), found("alive", PASS, "web2")]
    assert judging.required(after, before, CHECKS, ["alive"]) == keys("alive@web2", "alive@new")


def test_after_backing_out_what_passed_before_must_pass() -> None:
    before = [found("alive", PASS, "web1"), found("alive", ERROR, "web2"), found("fix", FAIL)]
    assert judging.after_backing_out(before) == keys("alive@web1")


def test_a_check_that_was_reached_twice_passed_only_if_it_did_both_times() -> None:
    for before in itertools.permutations([found("read", PASS), found("read", FAIL)]):
        assert judging.after_backing_out(before) == frozenset()


def test_the_first_rule_that_holds_speaks() -> None:
    rules = [
        Rule(when="failure.body.nothing == 1", say="cannot be told"),
        Rule(when="failure.body.code == 141", say="another"),
        Rule(when="failure.body.code == 142 && failure.check == 'add'", say="stale schema"),
        Rule(when="true", say="too late"),
    ]
    failed = found("add", FAIL, facts={"body": {"code": 142}})
    assert judging.diagnose(rules, failed) == "stale schema"
    assert judging.diagnose(rules[:2], failed) is None


# --- looking -----------------------------------------------------------------------------


class Said:
    """A probe that answers as the test says, and keeps what it was asked."""

    Options: ClassVar[type[Options]] = SayOptions
    names: ClassVar[Mapping[str, str]] = {"body": "what was said"}
    expects: ClassVar[tuple[str, ...]] = ("body.ok",)
    judges_itself: ClassVar[bool] = False
    answer: Callable[[ProbeRequest], Observation]
    asked: list[str]

    def observe(self, look: ProbeRequest) -> Observation:
        said = look.options.say if look.host is None else f"{look.options.say}@{look.host.name}"
        self.asked.append(said)
        return type(self).answer(look)


def said(answer: Callable[[ProbeRequest], Observation]) -> type[Said]:
    return type("Saying", (Said,), {"answer": staticmethod(answer), "asked": []})


def ok(_: ProbeRequest) -> Observation:
    return Observation({"body": {"ok": True, "id": "x1"}})


def answers(*verdicts: bool | str) -> Callable[[ProbeRequest], Observation]:
    """One after the other: well, not well, or an error; the last one stays."""
    left = list(verdicts)

    def answer(_: ProbeRequest) -> Observation:
        now = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(now, str):
            return Observation(error=now)
        return Observation({"body": {"ok": now, "id": "x1"}})

    return answer


def nowhere(_: Host | None) -> Transport:
    raise Unreachable("web1 does not answer", where="ssh web1")


def no_service(_: Host | None) -> Backend:
    raise Refused("the target has no service")


def examiner(kind: type[Said], *checks: Check, hosts: int = 0, **more: Any) -> Examiner:
    target = Target(
        name="prod",
        hosts={
            f"web{n}": Host(name=f"web{n}", address=f"192.0.2.{n}", groups=("web",))
            for n in range(1, hosts + 1)
        },
        checks={each.name: each for each in checks},
        secrets={"app": SecretSource(env="APP")},
        vars={"greeting": "hello"},
    )
    given: dict[str, Any] = {
        "kinds": {"say": kind},
        "reach": lambda _: Shell(),
        "restarter_for": lambda _: Backend(),
        "vault": Secrets(app="s3cret-value"),
        "clock": ManualClock(),
    }
    return Examiner(target, **{**given, **more})


def told(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.key, str(finding.verdict)) for finding in findings]


def test_findings_come_in_the_order_of_the_inventory() -> None:
    checks = (
        check("b", "body.ok", on="web"),
        check("a", "body.ok"),
        check("c", "body.ok", on="all"),
    )
    findings = examiner(said(ok), *checks, hosts=3).examine()
    assert [finding.key for finding in findings] == [
        *("b@web1", "b@web2", "b@web3", "a", "c@web1", "c@web2", "c@web3")
    ]


def test_only_the_wanted_checks_run_on_the_wanted_hosts() -> None:
    checks = (check("per-host", "body.ok", on="web"), check("whole", "body.ok"))
    looking = examiner(said(ok), *checks, hosts=3)
    assert told(looking.examine(hosts=["web2"])) == [("per-host@web2", "pass"), ("whole", "pass")]
    assert told(looking.examine(["whole"])) == [("whole", "pass")]
    assert told(looking.examine(["per-host"], hosts=[])) == []
    with pytest.raises(Mistakes, match="no check 'wohle'; its checks: per-host, whole"):
        looking.examine(["wohle"])


def test_a_group_that_has_no_host_is_a_mistake_not_a_silence() -> None:
    looking = examiner(said(ok), check("a", "body.ok"), check("b", "body.ok", on="db"), hosts=1)
    with pytest.raises(Mistakes, match="check 'b' is on 'db', and prod has no such host or group"):
        looking.examine()


def test_options_are_rendered_for_the_host_and_the_release() -> None:
    kind = said(ok)
    say = "{{ vars.greeting }} {{ host.name }} {{ release.number }} {{ run.id }} {{ secrets.app }}"
    looking = examiner(kind, check("a", "body.ok", say=say, on="web"), hosts=1)
    looking.names = {"run": {"id": "r1"}}
    looking.examine(release=Release(42))
    assert kind.asked == ["hello web1 42 r1 \ue000app\ue001@web1"]


def test_a_name_that_cannot_be_rendered_is_an_error_of_its_check_alone() -> None:
    looking = examiner(said(ok), check("a", "body.ok", say="{{ gone }}"), check("b", "body.ok"))
    one, two = looking.examine()
    assert one.verdict is ERROR
    assert "gone" in one.reason
    assert two.verdict is PASS


@pytest.mark.parametrize(
    ("touch", "words"),
    [
        (lambda look: look.transport.put(b"", "x"), "web1 does not answer (ssh web1)"),
        (lambda look: look.restarter(), "the target has no service"),
        (lambda _: 1 / 0, "the check itself broke: ZeroDivisionError: division by zero"),
    ],
    ids=["unreachable", "refused", "broken"],
)
def test_whatever_prevents_a_look_is_an_error_never_raised(
    touch: Callable[[ProbeRequest], Any], words: str
) -> None:
    def observe(look: ProbeRequest) -> Observation:
        touch(look)
        return Observation({"body": {"ok": True}})

    looking = examiner(
        said(observe), check("a", "body.ok"), reach=nowhere, restarter_for=no_service
    )
    (finding,) = looking.examine()
    assert (finding.verdict, finding.reason) == (ERROR, words)


def test_a_host_is_not_connected_to_when_the_check_needs_no_connection() -> None:
    (finding,) = examiner(said(ok), check("a", "body.ok"), reach=nowhere).examine()
    assert finding.verdict is PASS


def test_the_baseline_is_there_to_compare_with() -> None:
    looking = examiner(said(ok), check("a", "body.id == baseline.body.id", on="web"), hosts=2)
    before = [found("a", FAIL, "web1", facts={"body": {"id": "x1"}})]
    assert told(looking.examine(baseline=before)) == [("a@web1", "pass"), ("a@web2", "error")]


# --- retry -------------------------------------------------------------------------------


def test_a_patient_look_waits_until_it_comes_up() -> None:
    clock = ManualClock()
    kind = said(answers("connection refused", False, True))
    retrying = check("a", "body.ok", retry=Retry.model_validate({"for": 60.0, "every": 2.0}))
    (finding,) = examiner(kind, retrying, clock=clock).examine(patient=True)
    assert finding.verdict is PASS
    assert clock.slept == [2.0, 2.0]


def test_patience_ends_and_says_how_long_it_was() -> None:
    clock = ManualClock()
    retrying = check("a", "body.ok", retry=Retry.model_validate({"for": 5.0, "every": 2.0}))
    (finding,) = examiner(said(answers(False)), retrying, clock=clock).examine(patient=True)
    assert finding.verdict is FAIL
    assert finding.reason == "body.ok (body.ok is false) (tried 3 times in 4 s)"


def test_without_patience_there_is_one_look() -> None:
    clock = ManualClock()
    retrying = check("a", "body.ok", retry=Retry.model_validate({"for": 60.0, "every": 2.0}))
    (finding,) = examiner(said(answers(False, True)), retrying, clock=clock).examine()
    assert finding.verdict is FAIL
    assert clock.slept == []


def test_a_look_begins_where_the_last_examination_ended_not_the_last_try() -> None:
    starts: list[int] = []

    def observe(look: ProbeRequest) -> Observation:
        starts.append(look.memory.get("at", 0))
        look.memory["at"] = look.memory.get("at", 0) + 1
        return Observation({"body": {"ok": len(starts) > 2}})

    looking = examiner(
        said(observe), check("a", "body.ok", retry=Retry.model_validate({"for": 9.0, "every": 1.0}))
    )
    looking.examine(patient=True)
    looking.examine(patient=True)
    assert starts == [0, 0, 0, 1]
    assert looking.memory == {"a": {"at": 2}}


# --- what a check leads to, and what it leaves behind --------------------------------------


def chain(**more: Any) -> tuple[Check, ...]:
    cleanup = Cleanup(kind="say", options=SayOptions(say="delete {{ saved.concert }}"))
    add = check(
        "add", "body.ok", say="add", save={"concert": "body.id"}, then=("read",), cleanup=cleanup
    )
    return add, check("read", "body.ok", say="read {{ saved.concert }}", **more)


def test_a_check_leads_to_others_with_what_it_saved_then_cleans_up() -> None:
    kind = said(ok)
    findings = examiner(kind, *chain()).examine()
    assert told(findings) == [("add", "pass"), ("read", "pass")]
    assert kind.asked == ["add", "read x1", "delete x1"]


def test_cleanup_runs_when_what_follows_fails() -> None:
    kind = said(answers(True, False, True))
    findings = examiner(kind, *chain()).examine()
    assert told(findings) == [("add", "pass"), ("read", "fail")]
    assert kind.asked[-1] == "delete x1"


def test_cleanup_runs_when_the_check_itself_fails_after_it_acted() -> None:
    kind = said(answers(False, True))
    findings = examiner(kind, *chain()).examine()
    assert told(findings) == [("add", "fail"), ("read", "inconclusive")]
    assert findings[1].reason == "not reached: add did not pass"
    assert kind.asked == ["add", "delete x1"]


def test_cleanup_runs_after_every_try() -> None:
    kind = said(answers(False, True))
    add = chain()[0].model_copy(
        update={"retry": Retry.model_validate({"for": 9.0, "every": 1.0}), "then": ()}
    )
    assert told(examiner(kind, add).examine(patient=True)) == [("add", "pass")]
    assert kind.asked == ["add", "delete x1", "add", "delete x1"]


def test_cleanup_that_fails_is_told_and_changes_no_verdict() -> None:
    findings = examiner(said(answers(True, True, "it is down")), *chain()).examine()
    assert findings[0].verdict is PASS
    assert findings[0].reason == "cleanup failed: it is down"


def test_nothing_saved_leaves_nothing_to_clean_up_by() -> None:
    kind = said(answers("connection refused"))
    findings = examiner(kind, *chain()).examine()
    assert kind.asked == ["add"]
    assert findings[0].reason == (
        "connection refused; nothing was cleaned up: concert was not saved"
    )


def test_cleanup_runs_when_the_examination_is_broken_off() -> None:
    asked: list[str] = []

    def observe(look: ProbeRequest) -> Observation:
        asked.append(look.options.say)
        if look.options.say.startswith("read"):
            raise KeyboardInterrupt
        return ok(look)

    with pytest.raises(KeyboardInterrupt):
        examiner(said(observe), *chain()).examine()
    assert asked == ["add", "read x1", "delete x1"]


def test_to_ask_for_what_others_lead_to_is_to_ask_for_them() -> None:
    findings = examiner(said(ok), *chain(), check("other", "body.ok")).examine(["read"])
    assert told(findings) == [("add", "pass"), ("read", "pass")]


def test_checks_that_lead_in_a_circle_prove_nothing_and_end() -> None:
    circle = (check("a", "body.ok", then=("b",)), check("b", "body.ok", then=("a",)))
    assert judging.verdict(examiner(said(ok), *circle).examine()) is INCONCLUSIVE
    lead = check("root", "body.ok", then=("a",))
    assert told(examiner(said(ok), lead, *circle).examine()) == [
        *(("root", "pass"), ("a", "pass"), ("b", "pass"))
    ]


def test_what_follows_stays_on_its_host_or_goes_to_its_own() -> None:
    kind = said(ok)
    first = check("first", "body.ok", on="web", then=("next",))
    findings = examiner(kind, first, check("next", "body.ok"), hosts=2).examine(hosts=["web2"])
    assert told(findings) == [("first@web2", "pass"), ("next@web2", "pass")]
    whole = check("whole", "body.ok", then=("each",))
    each = check("each", "body.ok", on="web")
    findings = examiner(said(ok), whole, each, hosts=3).examine(hosts=["web1", "web3"])
    assert [finding.key for finding in findings] == ["whole", "each@web1", "each@web3"]


def test_an_answer_cannot_pass_for_a_reference_to_a_secret() -> None:
    def observe(look: ProbeRequest) -> Observation:
        return Observation({"body": {"ok": True, "id": "\ue000app\ue001"}})

    kind = said(observe)
    examiner(kind, *chain()).examine()
    assert kind.asked[1] == "read �app�"


def test_what_is_shown_of_a_finding_holds_no_secret() -> None:
    def observe(look: ProbeRequest) -> Observation:
        body = {"ok": False, "echo": "s3cret-value", "sessionToken": "r:123456"}
        return Observation({"body": body}, excerpt=json.dumps(body))

    heard: list[Finding] = []
    looking = examiner(said(observe), check("a", "body.ok", "body.echo == 'x'"), tell=heard.append)
    (finding,) = looking.examine()
    assert heard == [finding]
    assert "s3cret-value" not in str(finding)
    assert "r:123456" not in str(finding)
    assert finding.reason.endswith("(body.echo is '[redacted]')")


# --- many at once ------------------------------------------------------------------------


def test_checks_run_side_by_side_but_never_too_many() -> None:
    running, most, lock = 0, 0, threading.Lock()
    full = threading.Barrier(WORKERS)

    def observe(look: ProbeRequest) -> Observation:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        full.wait(60)
        with lock:
            running -= 1
        return ok(look)

    checks = [check(f"c{n}", "body.ok") for n in range(3 * WORKERS)]
    findings = examiner(said(observe), *checks).examine()
    assert len(findings) == 3 * WORKERS
    assert judging.verdict(findings) is PASS
    assert most == WORKERS


def test_starts_are_spread_always_the_same_way() -> None:
    def offsets() -> list[float]:
        clock = ManualClock()
        checks = [check(f"c{n}", "body.ok") for n in range(10)]
        examiner(said(ok), *checks, clock=clock).examine()
        return sorted(clock.slept)

    assert len(offsets()) > 1
    assert sum(offsets()) <= 0.5


@pytest.mark.parametrize(("count", "seconds"), [(2, 0.01), (50, 0.49), (300, 299 * PACE)])
def test_checks_start_one_after_the_other_so_that_none_measures_another(
    count: int, seconds: float
) -> None:
    clock = ManualClock()
    began = clock.monotonic()
    checks = [check(f"c{n}", "body.ok") for n in range(count)]
    examiner(said(ok), *checks, clock=clock).examine()
    assert clock.monotonic() - began >= seconds - 1e-6


def test_waiting_for_a_worker_is_told_apart_from_the_answer() -> None:
    clock, begun = ManualClock(), itertools.count(1)
    busy = threading.Barrier(WORKERS, action=lambda: clock.advance(5))

    def observe(look: ProbeRequest) -> Observation:
        if next(begun) <= WORKERS:
            busy.wait(60)
        return Observation({"body": {"ok": True}}, elapsed_ms=7.0)

    checks = [check(f"c{n}", "body.ok") for n in range(WORKERS + 1)]
    findings = examiner(said(observe), *checks, clock=clock).examine()
    assert {finding.elapsed_ms for finding in findings} == {7.0}
    assert max(finding.queued_ms for finding in findings) >= 4500


TOO_LONG = "it came to no end within 0.5 s"
TEXT = "the quick brown fox " * 50_000
NUMBERS = list(range(3000))


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("body.all(a, body.exists(b, a == b) || true)", TOO_LONG),
        ("body.all(a, body.all(b, body.all(c, a + b + c >= 0)))", TOO_LONG),
        ("size(body.map(a, text + text)) == 3000", "it builds more than 64 MiB"),
        (
            "size(body.map(a, body.map(b, a))) == 3000",
            "it (builds more|came to no end)",
        ),
        ("!text.matches('(?i)([a-z]{1,40}){1,9}!')", "may take longer than 0.5 s"),
        (r"!text.matches('([\\w ]{1,40}x?){20}!')", "may take longer than 0.5 s"),
        ("!text.matches('([a-z]{1,100}){1,50}!')", "is too large a regular expression"),
    ],
)
def test_an_expression_takes_no_more_than_its_check_may(
    expression: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "JUDGING", 0.5)
    check = Check(name="slow", kind="http", options=None, expect=(expression,), timeout=0.2)
    began = time.monotonic()

    finding = judging.judge(check, Observation({"body": NUMBERS, "text": TEXT}), {})

    assert time.monotonic() - began < 60
    assert finding.verdict is Verdict.ERROR
    assert re.search(reason, finding.reason)


@pytest.mark.parametrize(
    "expression",
    [
        "text.matches('(?i)QUICK\\\\s+brown')",
        "!text.matches('(PANIC|FATAL|Traceback)')",
        "body.map(a, string(a)).all(a, a.matches('^[0-9]{1,4}$'))",
    ],
)
def test_what_is_usual_is_not_held_up(expression: str) -> None:
    check = Check(name="usual", kind="http", options=None, expect=(expression,), timeout=60)
    seen = Observation({"body": NUMBERS, "text": TEXT})
    assert judging.judge(check, seen, {}).verdict is Verdict.PASS
