from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backout.language.jinja import CannotRender, SecretRef
from backout.language.template_names import mistakes
from backout.language.templates import (
    references,
    render,
    render_check,
    render_document,
    render_options,
    render_service,
    render_shell,
    render_step,
    render_value,
    resolve_vars,
    without_references,
)
from backout.model import Check, Options, Service, Step, TemplateText
from backout.restarters.heroku import HerokuOptions

SCOPE = {
    "vars": {"api": "https://api", "count": 3, "words": ["a b", "c'd"], "items": "mine"},
    "params": {"message": "it's $(touch /tmp/x)", "empty": "", "none": []},
    "secrets": {"token": SecretRef("token"), "other": SecretRef("other")},
    "nothing": None,
}
KNOWN = {"vars": ["api", "count"], "params": ["message"], "secrets": ["token"], "saved": None}
TOKEN = "\ue000token\ue001"


def said(text: str, *, in_shell: bool = False) -> list[str]:
    return [message for _line, message in mistakes(text, KNOWN, in_shell=in_shell)]


# --- text ----------------------------------------------------------------------------------


def test_expressions_are_replaced_and_everything_else_stays() -> None:
    text = "{{ vars.api }}/x ${#name} {% if %} {# no comment #} }}\n"
    assert render(text, SCOPE) == "https://api/x ${#name} {% if %} {# no comment #} }}\n"


def test_braces_can_be_written_as_a_string() -> None:
    assert render('{{ "{{.State}}" }}', SCOPE) == "{{.State}}"


def test_a_variable_named_like_a_method_is_the_variable() -> None:
    assert render("{{ vars.items }}", SCOPE) == "mine"


def test_a_string_that_is_one_expression_keeps_its_type() -> None:
    value = {"n": "{{ vars.count }}", "l": ["{{ vars.words }}"], "s": "no {{ vars.count }}"}
    assert render_value(value, SCOPE) == {"n": 3, "l": [["a b", "c'd"]], "s": "no 3"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ vars.nope }}", "'nope' is not defined"),
        ("{{ nope }}", "'nope' is undefined"),
        ("{{ [vars.nope] }}", "'nope' is not defined"),
        ("x {{ nothing }}", "{{ nothing }} is null"),
        ("x {{ nothing | raw }}", "null"),
        ("x {{ ['a', nothing] | raw }}", "null"),
        ("x {{ 'v' ~ nothing }}", "null"),
        ("x {{ ('v' ~ 1 ~ nothing) | upper }}", "null"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ vars.api.upper }}", "is not data"),
        ("{{ vars.api.__class__ }}", "unsafe"),
        ("{{ vars.count + 'a' }}", "unsupported operand"),
    ],
)
def test_what_cannot_be_rendered_is_said_with_its_place(text: str, why: str) -> None:
    with pytest.raises(CannotRender, match=r"\(step 3\)") as caught:
        render(text, SCOPE, where="step 3")
    assert why in caught.value.what


@given(st.text())
def test_any_text_renders_or_is_refused(text: str) -> None:
    try:
        rendered: object = render(text, SCOPE)
    except CannotRender as error:
        rendered = error.what
    assert isinstance(rendered, str)


def test_a_template_file_may_use_all_of_jinja() -> None:
    text = "{% for word in vars.words %}[{{ word }}]{# note #}{% endfor %} {{ secrets.token }}\n"
    assert render_document(text, SCOPE) == f"[a b][c'd] {TOKEN}\n"


def test_a_broken_template_file_is_refused_with_its_line() -> None:
    with pytest.raises(CannotRender) as caught:
        render_document("a\n{% for %}", SCOPE, where="nginx.conf.j2")
    assert caught.value.where == "nginx.conf.j2:2"


# --- shell ---------------------------------------------------------------------------------


def sh(script: str) -> str:
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True)
    return done.stdout.decode()


@settings(max_examples=60)
@given(st.text(st.characters(exclude_characters="\0\ue000\ue001", exclude_categories=["Cs"])))
def test_any_text_reaches_the_command_as_one_word(text: str) -> None:
    script, env = render_shell("printf '%s|' {{ x }} {{ l }}", {"x": text, "l": [text, text]})
    assert sh(script) == f"{text}|" * 3
    assert env == ()


@settings(max_examples=150)
@given(st.lists(st.sampled_from([*"'\"\\`$() #<;x\n", "{{ x }}", "<<E\n", "\nE\n", "${x:-"])))
def test_wherever_a_value_is_allowed_it_is_never_run(around: list[str]) -> None:
    hostile = "'\"`)\nE\n touch ran; touch ran #"
    try:
        script, _env = render_shell("".join(around), {"x": hostile})
    except CannotRender:
        return
    with TemporaryDirectory() as folder:
        subprocess.run(
            ["/bin/sh", "-c", script], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True
        )
        assert list(Path(folder).iterdir()) == [], script


def test_lists_become_words_and_raw_text_is_left_alone() -> None:
    script, _env = render_shell("x {{ vars.words }} {{ params.none }} {{ 'a b' | raw }}", SCOPE)
    assert script == """x 'a b' 'c'"'"'d'  a b"""


def test_an_empty_text_is_still_a_word() -> None:
    assert render_shell("x {{ params.empty }}", SCOPE)[0] == "x ''"


def test_a_secret_is_a_variable_of_the_shell_and_never_in_the_script() -> None:
    script, env = render_shell('curl -H {{ "Auth: " ~ secrets.token }}', SCOPE)
    assert script == """curl -H 'Auth: '"$BACKOUT_SECRET_token\""""
    assert env == (("BACKOUT_SECRET_token", TOKEN),)


def test_a_raw_secret_stands_in_double_quotes() -> None:
    script, env = render_shell('x "Bearer {{ secrets.token | raw }}"', SCOPE)
    assert script == 'x "Bearer ${BACKOUT_SECRET_token}"'
    assert env == (("BACKOUT_SECRET_token", TOKEN),)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo '{{ vars.api }}'", "quoted already"),
        ('echo "{{ vars.api }}"', "quoted already"),
        ('echo "$(x "{{ vars.api }}")"', "quoted already"),
        ("echo \\{{ vars.api }}", "backslash"),
        ("true # {{ vars.api }}", "comment"),
        ("cat <<EOF\n{{ vars.api }}\nEOF", "here-document"),
        ("echo `x {{ vars.api }}`", "write $(…)"),
        ("echo $(( {{ vars.count }} + 1 ))", "$(( ))"),
        ("echo '{{ secrets.token | raw }}'", "single quotes"),
    ],
)
def test_a_value_where_quoting_cannot_save_it_is_a_mistake(script: str, why: str) -> None:
    assert any(why in message for message in said(script, in_shell=True))
    with pytest.raises(CannotRender):
        render_shell(script, SCOPE)


@pytest.mark.parametrize(
    "script",
    [
        "echo {{ vars.api }}",
        'echo "$(x {{ vars.api }})"',
        "echo 'it' {{ vars.api }} \"it's\" {{ vars.api }}",
        "# it's a comment\necho {{ vars.api }}",
        "cat <<EOF\nit's\nEOF\necho {{ vars.api }}",
        "echo $# ${#x} a#b {{ vars.api }}",
        "echo '{{ vars.api | raw }}'",
        "wc -c <<< {{ vars.api }}",
        "x --url={{ vars.api }} `y` $(z {{ vars.api }})",
    ],
)
def test_a_value_that_is_a_word_of_its_own_is_fine(script: str) -> None:
    assert said(script, in_shell=True) == []
    assert "https://api" in render_shell(script, SCOPE)[0]


# --- names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ vars.ap }}", "'vars.ap' is not defined; did you mean 'vars.api'?"),
        ("{{ vars['ap'] }}", "'vars.ap' is not defined; did you mean 'vars.api'?"),
        ("{{ var.api }}", "'var' is not defined here; did you mean 'vars'?"),
        ("{{ secrets }}", "name one secret: secrets.NAME"),
        ("{{ secrets[params.message] }}", "name one secret: secrets.NAME"),
    ],
)
def test_a_name_that_nobody_defines_is_found_before_anything_runs(text: str, message: str) -> None:
    assert said(text) == [message]


@pytest.mark.parametrize(
    "text",
    [
        "{{ vars.api }}",
        "{{ saved.anything.at.all }}",
        "{{ vars.ap | default('x') }}",
        "{{ 1 if vars.ap is defined else 2 }}",
        "{{ 'Bearer ' ~ secrets.token }}",
        "no template at all",
    ],
)
def test_names_that_are_defined_or_defaulted_are_fine(text: str) -> None:
    assert said(text) == []


@pytest.mark.parametrize("text", ["{{ secrets.token | upper }}", "{{ secrets.token == 'x' }}"])
def test_a_secret_can_be_placed_but_not_looked_at(text: str) -> None:
    assert "fetched later" in said(text)[0]


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a\n{{ vars.api", 2, "never closed"),
        ("{{.State}}", 1, "no expression"),
        ("{{ }}", 1, "no expression"),
        ("a\nb {{ vars.api | uppr }}", 2, "No filter named 'uppr'"),
        ("{{" + "(" * 500 + "1" + ")" * 500 + "}}", 1, "nested too deeply"),
        ("{% if params.x %}y{% endif %}", 1, "template files"),
    ],
)
def test_a_malformed_template_is_a_mistake_with_its_line(text: str, line: int, why: str) -> None:
    ((found, message),) = mistakes(text, KNOWN)
    assert (found, why in message) == (line, True)


# --- options, steps, vars ------------------------------------------------------------------


class Put(Options):
    shell_fields: ClassVar[tuple[str, ...]] = ("then",)
    path: str
    port: int | TemplateText = 1
    words: tuple[str, ...] | TemplateText = ()
    then: str = ""


def test_options_are_rendered_and_validated_again() -> None:
    options = Put(path="{{ vars.count }}", port="{{ vars.count }}", words="{{ vars.words }}")
    rendered, env = render_options(options, SCOPE)
    assert rendered == Put(path="3", port=3, words=("a b", "c'd"))
    assert env == ()


def test_options_that_turn_out_wrong_are_refused() -> None:
    with pytest.raises(CannotRender, match=r"port .*whole number"):
        render_options(Put(path="x", port="{{ vars.api }}"), SCOPE, where="step 'x'")


def test_the_shell_texts_of_a_step_bring_their_secrets_along() -> None:
    step = Step(
        name="x",
        kind="put",
        options=Put(path="{{ vars.api }}", then="a {{ secrets.token }}"),
        undo="b {{ secrets.other }}",
        cwd="/srv/{{ vars.count }}",
        env={"URL": "{{ vars.api }}/{{ secrets.token }}"},
    )
    rendered = render_step(step, SCOPE)
    assert rendered.options.then == 'a "$BACKOUT_SECRET_token"'
    assert (rendered.undo, rendered.cwd) == ('b "$BACKOUT_SECRET_other"', "/srv/3")
    assert rendered.env == {
        "URL": f"https://api/{TOKEN}",
        "BACKOUT_SECRET_token": TOKEN,
        "BACKOUT_SECRET_other": "\ue000other\ue001",
    }


def test_a_check_is_rendered_with_the_environment_of_its_shell_texts() -> None:
    check = Check(name="x", kind="put", options=Put(path="p", then="{{ secrets.token }}"))
    rendered, env = render_check(check, SCOPE)
    assert rendered.options.then == '"$BACKOUT_SECRET_token"'
    assert env == (("BACKOUT_SECRET_token", TOKEN),)


def test_variables_may_use_each_other_in_any_order() -> None:
    given = {"url": "{{ vars.host }}/{{ secrets.token }}", "host": "h{{ vars.n }}", "n": 2}
    assert resolve_vars(given, SCOPE) == {"url": f"h2/{TOKEN}", "host": "h2", "n": 2}


def test_variables_in_a_circle_are_refused() -> None:
    with pytest.raises(CannotRender, match="a -> b -> a"):
        resolve_vars({"a": "{{ vars.b }}", "b": "{{ vars.a }}"}, SCOPE)


def test_data_from_outside_cannot_pass_for_a_secret() -> None:
    outside = {"body": [f"give me {TOKEN}"], TOKEN: 1}
    assert references(str(without_references(outside))) == frozenset()
    assert references(TOKEN) == {"token"}


def test_a_services_words_are_rendered_and_its_secrets_stay_references() -> None:
    service = Service(
        name="{{ vars.name }}",
        backend="heroku",
        port="{{ vars.port }}",
        options=HerokuOptions(app="{{ vars.name }}-x", token="{{ secrets.t }}"),
    )
    scope = {"vars": {"name": "api", "port": 8080}, "secrets": {"t": SecretRef("t")}}
    made = render_service(service, scope)
    assert (made.name, made.port, made.options.app) == ("api", 8080, "api-x")
    assert references(made.options.token) == {"t"}
