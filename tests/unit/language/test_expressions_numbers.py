"""There is one kind of number, exact as it is written, wherever it stands and however it came."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backout.language.expressions import CannotTell, evaluate, holds, mistakes
from backout.model.values import integer, number, plain


def came(written: str) -> Any:
    """A number as it comes out of a JSON body."""
    return json.loads(written, parse_int=integer, parse_float=number)


WHOLE = st.integers(-(10**25), 10**25).map(str) | st.integers(-9, 9).map(str)
POINTED = st.builds("{}.{:0>3}".format, WHOLE, st.integers(0, 999)) | st.builds(
    "{}.0".format, WHOLE
)
POWERED = st.builds("{}e{}".format, st.integers(-99, 99), st.integers(-12, 20))
WRITTEN = WHOLE | POINTED | POWERED
REQUIRED: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": lambda a, b: a - b * math.trunc(a / b),
}
COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@given(WRITTEN, WRITTEN, st.sampled_from([*COMPARED]))
@example("-10000000000000000000000000", "-10000000000000000000000000.001", "==")
def test_comparisons_are_those_of_fractions_whatever_the_number_looked_like(
    one: str, two: str, sign: str
) -> None:
    wanted = COMPARED[sign](Fraction(one), Fraction(two))
    scope = {"body": {"a": came(one), "b": came(two)}, "baseline": {"b": Decimal(two)}}
    for left in ("body.a", one, f"({one})"):
        for right in ("body.b", "baseline.b", two, f"[{two}][0]"):
            assert holds(f"{left} {sign} {right}", scope) is wanted
    assert holds(f"[body.b].all(x, body.a {sign} x)", scope) is wanted
    assert holds(f"true ? body.a {sign} body.b : false", scope) is wanted


@given(WRITTEN, WRITTEN, WRITTEN, st.sampled_from([*REQUIRED]), st.sampled_from([*COMPARED]))
def test_ratios_sums_and_products_are_those_of_fractions(
    one: str, two: str, three: str, sign: str, relation: str
) -> None:
    a, b, c = Fraction(one), Fraction(two), Fraction(three)
    scope = {"rows": [{"a": came(one), "b": Decimal(two)}], "vars": {"c": came(three)}}
    expression = f"rows[0].a {sign} {{0}} {relation} {{1}}"
    every = [expression.format(b_, c_) for b_ in ("rows[0].b", two) for c_ in ("vars.c", three)]
    every.append(f"rows.exists(r, r.a {sign} r.b {relation} vars.c)")
    every.append(f"rows.map(r, r.a {sign} r.b)[0] {relation} {three}")
    if not b and sign in "/%":
        for each in every:
            with pytest.raises(CannotTell, match="division by zero"):
                holds(each, scope)
        return
    wanted = COMPARED[relation](REQUIRED[sign](a, b), c)
    assert [holds(each, scope) for each in every] == [wanted] * len(every)


@given(st.recursive(WRITTEN, lambda inner: st.tuples(inner, st.sampled_from("+-*/%"), inner)))
def test_however_nested(tree: Any) -> None:
    scope: dict[str, Any] = {}

    def worth(node: Any) -> tuple[str, Fraction]:
        if isinstance(node, str):
            name = f"n{len(scope)}"
            scope[name] = came(node)
            return name, Fraction(node)
        left, right = worth(node[0]), worth(node[2])
        return f"({left[0]} {node[1]} {right[0]})", REQUIRED[node[1]](left[1], right[1])

    try:
        text, wanted = worth(tree)
    except ZeroDivisionError:
        return
    scope["wanted"] = wanted
    assert holds(f"{text} == wanted && -{text} == -wanted", scope)


@given(st.lists(WRITTEN, max_size=4), WRITTEN)
def test_being_among_others_and_being_as_many(many: list[str], one: str) -> None:
    scope = {"xs": list(map(came, many)), "x": came(one)}
    if many:
        assert holds("x in xs", scope) is (Fraction(one) in map(Fraction, many))
    assert holds(f"size(xs) == {len(many)}.0 && size(xs) / 2 == {len(many) / 2}", scope)
    assert holds("xs.filter(y, y >= x).all(y, y / 1 >= x)", scope)


@given(WRITTEN)
def test_what_is_saved_is_the_number_that_came(one: str) -> None:
    saved = evaluate("body.n", {"body": {"n": came(one)}})
    assert Fraction(saved) == Fraction(one) or Fraction(repr(saved)) == Fraction(one)
    assert holds("saved == n", {"saved": saved, "n": came(one)})


@pytest.mark.parametrize(
    ("expression", "holds_"),
    [
        ("body.used / body.total < 0.9", False),
        ("body.used / body.total > 0.9", True),
        ("body.load / 2.0 < 4.0", True),
        ("int(body.used / body.total) == 0", True),
        ("int(7 / 2) == 3 && int(-7 / 2) == -3", True),
        ("-7 % 3 == -1 && 7.5 % 2 == 1.5", True),
        ("0.1 + 0.2 == 0.3", True),
        ("body.big == 9007199254740993 && body.big != 9007199254740992.0", True),
        ("body.big + 1 == 9007199254740994", True),
        ("18446744073709551615u + 1 == 18446744073709551616", True),
        ("double('1e3') == 1000 && int('12.9') == 12 && string(2.0) == '2'", True),
        ("[1, 2][1.0] == 2 && {1: 'a'}[1.0] == 'a'", True),
        ("type(1.0) == 'int' && type(body.used / body.total) == 'double'", True),
    ],
)
def test_numbers_are_numbers(expression: str, holds_: bool) -> None:
    body = {"used": 95, "total": 100, "load": 2, "big": 9007199254740993}
    assert holds(expression, {"body": body}) is holds_


@pytest.mark.parametrize(
    "expression",
    ["x / 0.0 == 1", "x % 0 == 1", "[1][0.5] == 1", "nan + 1 > 0", "nan < 1", "inf - inf == 0"],
)
def test_what_is_no_number_is_never_reckoned_with(expression: str) -> None:
    scope = {"x": 1, "nan": Decimal("NaN"), "inf": Decimal("Infinity")}
    with pytest.raises(CannotTell):
        holds(expression, scope)


def test_infinity_is_above_all_numbers() -> None:
    assert holds("x > 1e300 && !(x < 5) && -5 < x && x == x", {"x": plain(Decimal("Infinity"))})


# --- what cannot be right, before anything runs --------------------------------------------

KNOWN = {"status": None, "text": None, "body": None, "rows": None, "now": None, "lines": None}
KINDS = {"status": "a number", "text": "text", "rows": "a list", "now": "a time", "lines": "a list"}


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("status == '200'", "status is a number and '200' is text: they cannot be compared"),
        ("status in ['200', '204']", "status is a number and never in ['200', '204']"),
        ("text < 5", "text is text and 5 is a number: they cannot be compared"),
        ("size(rows) == '0'", "size(rows) is a number and '0' is text: they cannot be compared"),
        ("rows > 0", "rows is a list and 0 is a number: they cannot be compared"),
        ("status", "it is a number, and a boolean is wanted"),
        ("status && true", "status is a number, neither true nor false"),
        ("!text", "text is text, neither true nor false"),
        ("body.n / 0 > 1", "division by zero"),
        ("1 / 0 == 1", "division by zero"),
        ("status.code == 1", "status is a number and has no 'code'"),
        ("text.exists(x, x == 'a')", "text is text and has no exists(…)"),
        ("status.contains('2')", "status is a number, no text for contains"),
        ("text.matches('(')", "'(' is no regular expression of RE2"),
        ("text.matches('([a-z]{1,100}){1,50}')", "is too large a regular expression"),
        ("now - timestamp(body.at) < 300", "they cannot be compared"),
        ("now - timestamp(body.at) < duration('5 minutes')", "'5 minutes' is no duration"),
        ("now > timestamp('yesterday')", "'yesterday' is no RFC 3339 time"),
        ("text + 1 == 'a'", "text + a number is not defined"),
        ("status / 100 == 2", "write int(status / 100)"),
        ("status > null", "null has no order"),
    ],
)
def test_what_cannot_be_right_is_pointed_at(expression: str, message: str) -> None:
    (said,) = mistakes(expression, KNOWN, KINDS, wanted="a boolean")
    assert message in said


@pytest.mark.parametrize(
    "expression",
    [
        "int(status / 100) == 2",
        "status == body.code || text == body.name",
        "body.used / body.total < 0.9",
        "now - timestamp(body.at) < duration('5m')",
        "timestamp(body.at) + duration('1h') > now",
        "size(lines) > 0 && lines.all(l, !l.contains('PANIC'))",
        "status in [200, body.other] ? true : body.ok",
        "body == null || status != null",
        "text + 'a' == 'ba' && rows + [1] != [] && -status < 0",
        "body.ok",
        "rows[0].n + rows[1].n == 2",
    ],
)
def test_what_can_be_right_is_let_be(expression: str) -> None:
    assert mistakes(expression, KNOWN, KINDS, wanted="a boolean") == ()


WORDS = st.sampled_from(["1", "2.5", "'a'", "true", "null", "[1]", "x", "y", "b.n"])
SHAPES = st.recursive(
    WORDS,
    lambda inner: (
        st.builds(
            "({} {} {})".format,
            inner,
            st.sampled_from(["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "in", "&&", "||"]),
            inner,
        )
        | st.builds("({} ? {} : {})".format, inner, inner, inner)
        | st.builds("size({})".format, inner)
        | st.builds("!({})".format, inner)
        | st.builds("[{0}].all(i, i == {0})".format, inner)
    ),
    max_leaves=6,
)


@given(SHAPES, st.sampled_from([1, 2.5, "a", True]), st.sampled_from([0, 7, "b", None, [1]]))
def test_lint_points_at_nothing_that_evaluates(expression: str, x: Any, y: Any) -> None:
    """Unless a guard keeps the mistake from being read."""
    wrong = mistakes(expression, dict.fromkeys(["x", "y", "b"]))
    guarded = any(sign in expression for sign in ("&&", "||", "?", "all"))
    if wrong and not guarded:
        with pytest.raises(CannotTell):
            evaluate(expression, {"x": x, "y": y, "b": {"n": 3}})
