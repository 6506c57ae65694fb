"""What people get wrong in files: told in words, with the line, and the place marked."""

from __future__ import annotations

from pathlib import Path

import pytest

from backout.config import loading, yaml_tree
from backout.errors import Mistake, Mistakes
from backout.model import NoOptions, Step
from backout.project.project import TABLES

INVENTORY = """hosts:
  web1: {address: 203.0.113.11, groups: [web]}
service: {name: api, backend: systemd}
source: {strategy: checkout, directory: /srv/api}
checks:
  alive:
    http: http://203.0.113.11/health
    expect: ["status == 200"]
"""
RUNBOOK = """steps:
  - {name: Update, update: {}, on: web}
settle:
  - {name: Prove, verify: all}
"""


def parsed(text: str) -> list[Mistake]:
    mistakes: list[Mistake] = []
    try:
        yaml_tree.parse(text, "x.yaml", mistakes)
    except Mistakes as error:
        mistakes += error.mistakes
    return mistakes


NOT_YAML = [
    ("a: [b\nc: d", (1, 3), "this [ is never closed"),
    ("a: {b: c\nd: e", (1, 3), "this { is never closed"),
    ('a: "b\nc: d', (1, 3), "this quotation mark is never closed"),
    ("a: b\nc: 'd\n\n", (2, 3), "this quotation mark is never closed"),
    ("a: {b: c d: e}", (1, 10), "a comma is missing before this"),
    ("run: [ -e x ] && y", (1, 14), "the value goes on after its closing ]: put the whole"),
    ('run: "$X" -f y', (1, 10), 'the value goes on after its closing "'),
    ("a: 'it's'", (1, 7), "the value goes on after its closing '"),
    ("run: *.sh", (1, 5), "a value cannot begin with *"),
    ("run: &x/y z", (1, 5), "a value cannot begin with &"),
    ("run: %date", (1, 5), "a value cannot begin with %"),
    ("a: [x, @y]", (1, 7), "a value cannot begin with @"),
    ("run: ? x", (1, 5), "a value cannot begin with ?"),
    ("run: ! grep -q x y", (1, 5), "a value cannot begin with !"),
    ("run: !x!y z", (1, 5), "a value cannot begin with !"),
    ("run: !vault x", (1, 5), "the tag !vault is not allowed"),
    ("run: > /dev/null", (1, 5), "> and | begin a text of several lines"),
    ("run: | grep x", (1, 5), "> and | begin a text of several lines"),
    ("run: - x", (1, 5), "a list begins on a line of its own"),
    ('run: "\\d"', (1, 6), "in double quotes \\ begins an escape"),
    ("hosts\n  web1: x", (2, 6), "the line above has no colon at its end"),
    ("a:b\nc: d", (2, 1), "the line above has no colon at its end"),
    ("a: b\nc\nd: e", (2, 0), "no colon stands behind this"),
    ("a:\n   b: 1\n  c: 2", (3, 2), "its indentation fits no line above"),
    ("a:\n  - b\n   - c: d\n", (3, 6), "the line above has no colon"),
    ("a:\n  - b: c\n   - c: d\n", (3, 3), "its indentation fits no line above"),
    ("a: b\n\tc: d", (2, 0), "a tab stands before the first word"),
    ("a: {{ b }}/c", (1, 4), "a value begins with {{"),
    ("a: b: c", (1, 4), "a colon and a space stand inside a value"),
    ("a: 1\na: 2", (2, 0), "the key 'a' is there twice, first in line 1"),
    ('a: "b\\0c"', (1, 3), "a zero byte stands in this text"),
    ("a:\n\u00a0\u00a0b: c", (2, 0), "a no-break space stands in this key"),
    ("a:\n  \u200bb: c", (2, 2), "a zero width space stands in this key"),
]


@pytest.mark.parametrize(("text", "place", "said"), NOT_YAML)
def test_a_slip_in_yaml_is_marked_where_it_is(text: str, place: tuple[int, int], said: str) -> None:
    (mistake,) = parsed(text)
    message, line, caret = mistake.message.split("\n")
    assert said in message
    assert (mistake.line, caret.index("^") - 2) == place
    assert len(line) - 2 == len(text.splitlines()[mistake.line - 1])


def test_whatever_is_cut_off_is_told_in_our_words_and_never_at_a_line_that_is_not_there() -> None:
    theirs = ("did not find", "could not find", "found ", "not allowed in this context")
    for end in range(1, len(INVENTORY)):
        for mistake in parsed(INVENTORY[:end]):
            assert not any(words in mistake.message for words in theirs), INVENTORY[:end]
            assert 0 < mistake.line <= INVENTORY.count("\n") + 1


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder, name, text in (("inventories", "prod", INVENTORY), ("runbooks", "deploy", RUNBOOK)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.yaml").write_text(text)
    return tmp_path


def linted(project: Path, old: str, new: str) -> list[str]:
    """What lint says when one thing is written otherwise."""
    for path in project.glob("*/*.yaml"):
        path.write_text(path.read_text().replace(old, new, 1))
    return [str(mistake) for mistake in loading.lint(project, TABLES)]


CHECK, EXPECT, STEP = "http: http://203.0.113.11/health", "status == 200", "update: {}"
SLIPS = [
    (EXPECT, "status = 200", "write == to compare\n  status = 200\n         ^"),
    (EXPECT, "status === 200", "write == to compare"),
    (EXPECT, "status <> 500", "write != for <>"),
    (EXPECT, "status == 200 and text == 'ok'", "write && for `and`"),
    (EXPECT, "status == 200 & true", "write && for `and`"),
    (EXPECT, "status == 200 or status == 204", "write || for `or`"),
    (EXPECT, "not status == 500", "write ! for `not`"),
    (EXPECT, "status not in [500]", "write !(x in y)"),
    (EXPECT, "status is 200", "write == for `is`"),
    (EXPECT, "text =~ 'ok'", "write text.matches('…')"),
    (EXPECT, "text contains 'ok'", "write text.contains('…')"),
    (EXPECT, "len(text) > 3", "no function 'len'; write size(…)"),
    (EXPECT, "body.ok == True", "'True' is not defined here; write true"),
    (EXPECT, "body.ok == None", "'None' is not defined here; write null"),
    (EXPECT, "json.ok == true", "'json' is not defined here; write body"),
    (EXPECT, "status == 200)", ") cannot stand here"),
    (EXPECT, "status ==", "it ends too early"),
    (EXPECT, "text == 'ok", "this quotation mark is never closed"),
    (f'"{EXPECT}"', "“status == 200”", "write plain quotation marks"),
    (EXPECT, "{{ status }} == 200", "leave the braces out"),
    (EXPECT, r"text.matches('^[a-z]+\n$')", r"for a line break in it write \n (\\n in YAML's"),
    (CHECK, "http: 203.0.113.11/health", "begins with neither http:// nor https://"),
    (CHECK, "http: https//203.0.113.11/health", "begins with neither http:// nor https://"),
    ("strategy: checkout", "strategy: symlink", "must be 'checkout', 'releases', 'image' or"),
    ("address: 203", "ansible_host: 203", "unknown key 'ansible_host'; write address: …"),
    ("address: 203", "address:203", "is a space missing behind its colon?"),
    (STEP, "upload: {from: a, to: /b, mode: u+x}", "'u+x' is no mode; write it in octal"),
    (STEP, "upload: {from: a, to: /b, mode: 0o644}", "'0o644' is no mode; write it in octal"),
    (STEP, "upload: {from: a, to: /b, mode: 0689}", "'0689' is no mode; write it in octal"),
    (STEP, "run: x, undo: y, loop: [a]", "write a step for each"),
    (STEP, "run: x, undo: y, ignore_errors: true", "a step that fails is taken back"),
    (STEP, "run: x, undo: y, chdir: /srv", "write cwd: …"),
    (STEP, "run: x, undo: y, creates: /srv", "write check: …"),
    (STEP, "run: x, undo: y, notify: restart", "a restart stands in settle: …"),
    (STEP, "run: x, undo: y, if: 'true'", "write when: …"),
    (STEP, "run: '', undo: y", "there is nothing to run"),
    (STEP, "run: x, undo: y, timeout: 0s", "steps[0].timeout: must be longer than nothing"),
    (STEP, "run: x, irreversible: true", "say why: irreversible: the rows are gone"),
    ("    expect:", "    timeout: 0\n    expect:", "alive.timeout: must be longer than nothing"),
    ("    expect:", "    retry: {for: 9s, every: 0}\n    expect:", "retry.every: must be longer"),
    ("checks:", "rollout: {batches: []}\nchecks:", "rollout.batches: names nothing"),
    (STEP, "run: x, undo: y, retry: {for: 9s, every: 0s}", "retry.every: must be longer than"),
    (STEP, "restart: {within: 0}", "restart.within: must be longer than nothing"),
    ("checks:", "secrets: {a: {env: MY TOKEN}}\nchecks:", "a.env: not a variable's name"),
    ("checks:", "notify: [ops@example.org]\nchecks:", "is no address to write to, such as slack"),
    ("checks:", "notify: {deploys: [ops]}\nchecks:", "notify.deploys[0]: 'ops' is no address"),
    (STEP, "copy: {src: a, dest: b}", "write upload: {from: …, to: …}"),
    (STEP, "wait: 99999999999999999999s", "wait: longer than ten years is no duration"),
    (STEP, "run: x, undo: y, timeout: 1000000d", "timeout: longer than ten years"),
    (STEP, 'run: x, undo: "  "', "step 'Update' has no way back"),
    (STEP, 'run: x, irreversible: " "', "step 'Update' has no way back"),
    (STEP, "run: x, irreversible: false", "say why: irreversible: the rows are gone"),
    ("checks:", "rollout: {max_failures: true}\nchecks:", "max_failures: must be a whole number"),
    ("groups: [web]", "groups: [web], port: true", "web1.port: must be a whole number"),
    ("checks:", "protected: {approvals: true}\nchecks:", "approvals: must be a whole number"),
    (CHECK, "http: http://", "'http://' names no host"),
    (CHECK, "http: https:///health", "'https:///health' names no host"),
    (CHECK, "tcp: 203.0.113.11", "'203.0.113.11' is not host:port"),
    (CHECK, "tcp: 203.0.113.11:99999", "'203.0.113.11:99999' is not host:port"),
    ("{address: 203.0.113.11, groups: [web]}", "{address: a.b}", "has no host and no group 'web'"),
    ("  web1: {address: 203.0.113.11, groups: [web]}", "  {}", "prod has no host at all"),
    ("checks:", "freeze: [{why: x, from: 2026-13-01}]\nchecks:", "18:00, or 2026-12-20\n"),
]


@pytest.mark.parametrize(("old", "new", "said"), SLIPS, ids=lambda each: str(each)[:40])
def test_a_slip_in_a_file_comes_with_its_cure(project: Path, old: str, new: str, said: str) -> None:
    assert loading.lint(project, TABLES) == ()
    told = linted(project, old, new)
    assert any(said in f"{each}\n" for each in told), told


@pytest.mark.parametrize("key", ["undo", "check"])
def test_blanks_are_no_text_to_run(key: str) -> None:
    """A blank undo takes nothing back, and a blank check says that all is done already."""
    written = {"name": "A", "kind": "update", "options": NoOptions(), key: " \n"}
    assert getattr(Step.model_validate(written), key) is None


@pytest.mark.parametrize("address", ["5432", "db:5432", '"[::1]:5432"', '"{{ vars.db }}"'])
def test_a_port_may_stand_alone_or_be_known_later(project: Path, address: str) -> None:
    told = linted(project, CHECK, f"tcp: {address}")
    assert not [each for each in told if "host:port" in each], told


@pytest.mark.parametrize(
    "words", ["0644", "644", "'0644'", "0755", '"{{ vars.mode }}"', "1777"], ids=str
)
def test_a_mode_is_octal_however_it_is_written(project: Path, words: str) -> None:
    changed = f"upload: {{from: deploy.yaml, to: /b, mode: {words}}}"
    (project / "deploy.yaml").touch()
    told = linted(project, STEP, changed)
    assert not [each for each in told if "mode" in each and "vars" not in each], told


@pytest.mark.parametrize("url", ["HTTP://x/", "https://x", '"{{ vars.url }}/x"', '"{{ x }}://y"'])
def test_an_address_may_be_known_later(project: Path, url: str) -> None:
    told = linted(project, "http://203.0.113.11/health", url)
    assert not [each for each in told if "neither" in each], told


def test_sql_that_cannot_be_a_transaction_is_found_by_lint(tmp_path: Path) -> None:
    """Where the script stands in the runbook; a template may say something else."""
    path = tmp_path / "x.yaml"
    path.write_text(
        "steps:\n"
        "  - {sql: {database: d, script: VACUUM t}, readonly: true}\n"
        '  - {sql: {database: d, script: "{{ params.x }}; VACUUM t"}, readonly: true}\n'
        "  - {sql: {database: d, script: BEGIN; SELECT 1; ROLLBACK}, readonly: true}\n"
        "params: {x: {}}\n"
    )
    with pytest.raises(Mistakes) as caught:
        loading.load_runbook(path, TABLES)
    assert [(m.line, m.path) for m in caught.value.mistakes] == [(2, "steps[0].sql.script")]
    assert "VACUUM T cannot be part of a transaction" in str(caught.value)


EMPTY = "vars: {api: , flags: [], word: x}\nchecks:"


@pytest.mark.parametrize(
    "step",
    [
        "run: 'curl {{ vars.api }}', readonly: true",
        "run: '{{ vars.api }}', readonly: true",
        "run: 'x {{ vars.api | raw }}', readonly: true",
        "run: x, undo: 'y {{ vars.api }}'",
        "run: x, undo: y, cwd: '{{ vars.api }}'",
        "run: x, undo: y, env: {API: '{{ vars.api }}'}",
        "upload: {from: x, to: '/srv/{{ vars.api }}'}",
    ],
)
def test_a_variable_whose_value_was_forgotten_is_found_by_lint(project: Path, step: str) -> None:
    linted(project, "checks:", EMPTY)

    assert "vars.api has no value" in "".join(linted(project, STEP, step))


@pytest.mark.parametrize(
    "step",
    [
        "run: 'x {{ vars.api or vars.word }} {{ vars.flags }}', readonly: true",
        "run: 'x {{ vars.api | default(1) }}', readonly: true",
        "run: x, undo: y, when: vars.api == null",
    ],
)
def test_a_variable_that_is_null_on_purpose_is_no_mistake(project: Path, step: str) -> None:
    linted(project, "checks:", EMPTY)

    assert not linted(project, STEP, step)


def test_a_variable_that_hosts_say_is_not_forgotten(project: Path) -> None:
    linted(project, "checks:", EMPTY)
    linted(project, "groups: [web]", "groups: [web], vars: {api: y}")

    assert not linted(project, STEP, "run: 'x {{ vars.api }}', readonly: true")


def test_a_null_in_json_is_one(project: Path) -> None:
    linted(project, "checks:", EMPTY)
    body = "http: {url: http://203.0.113.11/health, json: {a: '{{ vars.api }}'}}"

    assert not linted(project, CHECK, body)
