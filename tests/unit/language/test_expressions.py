from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.language.expressions import CannotTell, evaluate, holds, mistakes

NAN = float("nan")
KNOWN = {"body": None, "status": None, "saved": None, "vars": ["api"], "target": ["name"]}


@pytest.mark.parametrize(
    ("expression", "scope"),
    [
        ("status == 200", {"status": 200}),
        ("body.n == 5e6", {"body": {"n": 5000000}}),
        ("body.n < 10", {"body": {"n": 9.5}}),
        ("a < b == true", {"a": 1, "b": 2}),
        ("x == -1 && y != 'it\\'s || b'", {"x": -1, "y": "z"}),
        ("text.matches('^o.*k$') && text.contains('oo')", {"text": "ook"}),
        ("x in ['a', 'b'] && 'k' in m && !(x in [])", {"x": "b", "m": {"k": 1}}),
        ("items.exists(i, i.n == 2) && size(items) == 2", {"items": [{"n": 1}, {"n": 2}]}),
        ("items.filter(i, i != 'a') == ['b']", {"items": ["a", "b"]}),
        ("x == [1, null] && m == {'a': [1]}", {"x": [1, None], "m": {"a": [1.0]}}),
        ("x == null && y != null", {"x": None, "y": 0}),
        ("h['x-request-id'] == r'\\d'", {"h": {"x-request-id": "\\d"}}),
        ("(ok ? 1 : 2) == 1 // a comment: || false", {"ok": True}),
        ("x == '''a\"b''' || false", {"x": 'a"b'}),
        ("n == 18446744073709551615u", {"n": 2**64 - 1}),
        ("timestamp(t) < timestamp('2025-01-01T00:00:00Z')", {"t": "2024-01-01T00:00:00Z"}),
    ],
)
def test_what_is_true_holds(expression: str, scope: dict[str, Any]) -> None:
    assert holds(expression, scope) is True


@pytest.mark.parametrize(
    ("expression", "scope"),
    [
        ("status < 300", {"status": 503}),
        ("body.rate <= 0.05", {"body": {"rate": 0.93}}),
        ("x == [1, 2]", {"x": [1, "2"]}),
        ("x == [n]", {"x": [True], "n": 1}),
        ("has(body.code) && body.code == 1", {"body": {}}),
        ("x in ['a']", {"x": "b"}),
        ("[].exists(i, i == 1)", {}),
    ],
)
def test_what_is_false_does_not_hold(expression: str, scope: dict[str, Any]) -> None:
    assert holds(expression, scope) is False


@pytest.mark.parametrize(
    ("expression", "scope", "why"),
    [
        ("body.depth < 10", {"body": {}}, "'depth' is missing"),
        ("body.lag < 10", {"body": {"lag": "unknown"}}, "not defined for values of these types"),
        ("body.lag < 10", {"body": "<html>"}, "not defined for values of these types"),
        ("size(body.items) < 5", {"body": None}, "not defined"),
        ("size(x) < 5", {"x": None}, "'size' is not defined for what it is used on"),
        ("status < 300", {}, "'status' is not defined"),
        ("items[0].n == 1", {"items": []}, "out of bounds"),
        ("status", {"status": 200}, "neither true nor false"),
        ("text", {"text": "true"}, "neither true nor false"),
        ("n / 0 == 1", {"n": 1}, "division by zero"),
        ("1 +", {}, "Failed to parse"),
        ("", {}, "Failed to parse"),
    ],
)
def test_what_cannot_be_told_is_said(expression: str, scope: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotTell) as caught:
        holds(expression, scope)
    assert why in caught.value.reason


@pytest.mark.parametrize("value", [None, NAN, 1, "", [], {}, True])
@pytest.mark.parametrize(
    "expression",
    [
        "x < 1.5 && x == 'down'",
        "x == 'down'",
        "x != 'down'",
        "!(x == 'down')",
        "!(x in ['down', 'failed'])",
        "x != 'down' || false",
        "[x].all(i, i != 'down')",
    ],
)
def test_another_type_null_or_nan_never_passes(expression: str, value: Any) -> None:
    if value == "":  # text is what the expression is about
        assert holds("x != 'down'", {"x": value}) is True
        return
    with pytest.raises(CannotTell):
        holds(expression, {"x": value})


@pytest.mark.parametrize("expression", ["x == x", "x != 1.0", "!(x < 1.0)", "x in [x]", "x != x"])
def test_nan_never_passes_a_comparison(expression: str) -> None:
    with pytest.raises(CannotTell):
        holds(expression, {"x": NAN})


def test_nan_is_no_value_to_save() -> None:
    with pytest.raises(CannotTell, match="NaN"):
        evaluate("x", {"x": NAN})


@pytest.mark.parametrize(
    "expression",
    [
        "body.code == 1 || true",
        "body.code == 1 || status == 200",
        "!(body.code == 1 && false)",
        "false || body.code == 1",
        "true && body.code == 1",
        "(body.code == 1 || true) ? true : false",
        "[1].all(i, body.code == 1 || true)",
    ],
)
def test_neither_or_nor_and_swallow_an_error(expression: str) -> None:
    with pytest.raises(CannotTell, match="'code' is missing"):
        holds(expression, {"body": {}, "status": 200})


@pytest.mark.parametrize(
    "expression",
    [
        "!has(body.code) || body.code == 1",
        "!(has(body.code) && body.code == 1)",
        "has(body.code) ? body.code == 1 : true",
        "status == 200 || body.code == 1",
    ],
)
def test_a_guard_keeps_what_follows_from_being_read(expression: str) -> None:
    assert holds(expression, {"body": {}, "status": 200}) is True


def test_has_asks_for_one_key_of_a_mapping() -> None:
    assert holds("has(body.a)", {"body": {"a": None}}) is True
    assert holds("has(body.a)", {"body": {}}) is False
    for body in ({}, {"a": "text"}):
        with pytest.raises(CannotTell):
            holds("has(body.a.b)", {"body": body})


def test_all_of_an_empty_list_is_true_as_in_standard_cel() -> None:
    assert holds("rows.all(r, r.ok == true)", {"rows": []}) is True
    assert holds("size(rows) > 0 && rows.all(r, r.ok == true)", {"rows": []}) is False


def test_an_error_within_a_list_is_an_error() -> None:
    with pytest.raises(CannotTell, match="'ok' is missing"):
        holds("rows.all(r, r.ok == true)", {"rows": [{"ok": True}, {}]})


def test_nothing_is_printed_when_a_comparison_cannot_be_told(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(CannotTell):
        holds("x == 1", {"x": None})
    assert capfd.readouterr() == ("", "")


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)


@given(_json, _json)
def test_equal_and_unequal_never_agree(one: Any, two: Any) -> None:
    scope = {"one": one, "two": two}
    try:
        assert holds("one == two", scope) is not holds("one != two", scope)
    except CannotTell:
        with pytest.raises(CannotTell):
            holds("!(one == two) || one != two", scope)


@given(st.text() | st.text("abx.()[]{}!=<>|&?:,'\" 1-+", max_size=40))
def test_any_text_is_an_expression_or_a_mistake(text: str) -> None:
    wrong = mistakes(text, {})
    try:
        value = evaluate(text, {})
    except CannotTell as error:
        value = error.reason
    assert (
        wrong or value is None or isinstance(value, bool | int | float | str | list | dict | bytes)
    )


# --- before anything runs ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("bdy.code == 1", "'bdy' is not defined here; did you mean 'body'?"),
        ("has(bodi.code)", "'bodi' is not defined here; did you mean 'body'?"),
        ("vars.ap == 'x'", "'vars.ap' is not defined; did you mean 'vars.api'?"),
        ("body.x.contain('a')", "no function 'contain'; did you mean 'contains'?"),
        ("matches(body.text, 'a')", "'matches' is a method: write text.matches(…)"),
        ("body.n.int() == 1", "'int' is a function: write int(…)"),
        (
            "status = 200",
            "no CEL expression: write == to compare\n  status = 200\n         ^",
        ),
        (
            "status == 200 and not (text == 'a = b or c')",
            "no CEL expression: write && for `and`, write ! for `not`\n"
            "  status == 200 and not (text == 'a = b or c')\n                ^",
        ),
        ("status ==", "no CEL expression: it ends too early\n  status ==\n           ^"),
        ("(" * 99, "no CEL expression: the expression is too long or nested too deeply"),
        (
            "true" + " || true" * 600,
            "no CEL expression: the expression is too long or nested too deeply",
        ),
    ],
)
def test_a_mistake_is_found_without_evaluating(expression: str, message: str) -> None:
    assert mistakes(expression, KNOWN) == (message,)


@pytest.mark.parametrize(
    "expression",
    [
        "body.anything.goes == 1",
        "vars.api.startsWith('x')",
        "body.items.all(item, item.n > vars.api)",
        "{'status': body}.status == 'bdy'",
        "status == 200 ? has(body.x) : size(body.items) == 0",
        "'a' in body && body.at == timestamp('2024-01-30T20:00:00Z')",
    ],
)
def test_what_is_defined_is_no_mistake(expression: str) -> None:
    assert mistakes(expression, KNOWN) == ()
