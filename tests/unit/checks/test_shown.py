"""What of an answer may be kept and told."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from backout.adapters.vault import Vault
from backout.checks import evidence
from backout.model import Finding, SecretSource, Verdict
from support.looks import Secrets

PASS, FAIL, *_ = Verdict


def found(name: str, verdict: Verdict, **more: Any) -> Finding:
    return Finding(check=name, host=None, verdict=verdict, **more)


def test_no_credential_of_an_answer_is_shown() -> None:
    token = 'r:8f3c"1a'
    body = {"result": {"sessionToken": token, "note": f"use {token}"}, "ok": True, "n": 1}
    finding = found(
        "login",
        FAIL,
        facts={"body": body, "headers": {"set-cookie": "sid=abcdef"}, "text": json.dumps(body)},
        excerpt=f"200 {json.dumps(body)}",
        reason=f"body.note == 'x' (body.note is 'use {token}'), sid=abcdef",
        saved={"session": token},
    )
    shown = evidence.shown(finding, Secrets(app="nothing").redact)
    for secret in (token, json.dumps(token)[1:-1], "abcdef"):
        assert secret not in str(shown)
    assert shown.facts["body"]["ok"] is True
    assert shown.facts["body"]["n"] == 1
    assert "[redacted]" in shown.excerpt


@pytest.mark.parametrize(
    "text",
    [
        '{"sessionToken": "r:abc\\"def"}',
        '{"sessionToken":"r:abc\\"def',
        '{"user": {"password" : "r:abc\\"def"}',
        "GET /login?session_token=r:abc&x=1",
        '{"clientSecret": 8675309}',
    ],
)
def test_a_credential_is_known_by_its_name_in_any_text(text: str) -> None:
    shown = evidence.shown(found("x", FAIL, excerpt=text), str)
    assert not any(secret in shown.excerpt for secret in ("abc", "def", "8675309"))
    assert "[redacted]" in shown.excerpt


def test_what_does_not_pass_says_where_it_was_sent_and_which_sqlstate_refused_it() -> None:
    facts = {"redirect": "https://x/login?token=abcdef", "sqlstate": "428C9"}
    seen = Finding("a", None, Verdict.FAIL, reason="no", excerpt="302 Found", facts=facts)
    told = evidence.shown(seen, str).excerpt.splitlines()
    assert told == [
        f"redirects to https://x/login?token={evidence.HIDDEN}",
        "SQLSTATE 428C9",
        "302 Found",
    ]
    known = replace(seen, reason="428C9 cannot insert", facts={"sqlstate": "428C9"})
    assert evidence.shown(known, str).excerpt == "302 Found"
    well = replace(seen, verdict=Verdict.PASS)
    assert evidence.shown(well, str).excerpt == "302 Found"


def test_a_secret_is_redacted_before_the_excerpt_is_cut() -> None:
    secret = "s3cret-value"
    text = "x" * (evidence.EXCERPT - 3) + secret
    shown = evidence.shown(found("x", FAIL, excerpt=text), Secrets(app=secret).redact)
    assert "s3c" not in shown.excerpt
    assert len(shown.excerpt) == evidence.EXCERPT + 1


def test_a_secret_that_a_reason_was_cut_in_is_redacted_too() -> None:
    token = "sk_live_" + "0123456789abcdef" * 8
    vault = Vault({"key": SecretSource(env="KEY")}, environ={"KEY": token})
    scope = {"body": {"error": f"unknown key {token}, again"}}
    reason = evidence.told("body.error == ''", scope)

    shown = evidence.shown(found("login", FAIL, reason=reason), vault.redact)

    assert "sk_live" in reason
    assert shown.reason == "body.error == '' (body.error is 'unknown key [secret key]…')"


def test_a_fact_too_large_to_keep_is_left_out_not_shortened() -> None:
    shown = evidence.shown(found("x", PASS, facts={"text": "x" * 70_000, "status": 200}), str)
    assert shown.facts == {"status": 200}


def test_under_the_name_of_a_credential_nothing_is_shown_that_is_a_value_of_its_own() -> None:
    row = {"token": date(2024, 1, 30), "pin_token": 4711, "token_known": True, "born": date.max}
    shown = evidence.shown(found("x", PASS, facts={"row": row}), str).facts["row"]
    hidden = dict.fromkeys(("token", "pin_token"), evidence.HIDDEN)
    assert shown == {**hidden, "token_known": True, "born": "9999-12-31"}


def test_what_cannot_be_made_fit_to_be_shown_leaves_the_verdict_as_it_is() -> None:
    def broken(_: str) -> str:
        raise RecursionError

    seen = found("x", FAIL, excerpt="500", reason="no", saved={"n": 1}, facts={"status": 500})
    shown = evidence.shown(seen, broken)
    assert (shown.verdict, shown.reason) == (FAIL, "what came cannot be shown: RecursionError")
    assert (shown.excerpt, shown.saved, shown.facts) == ("", {}, {})
