"""What the person sees, on a real pseudo-terminal where it matters."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.adapters.terminal import ui
from backout.adapters.terminal.fitting import fitted
from backout.adapters.terminal.operator import TerminalOperator
from backout.errors import Refused
from backout.model import Event
from backout.reports.lines import table
from support.terminal import on_a_terminal
from support.wait import eventually, throughout

NOON = datetime(2026, 11, 22, 12, 0, 3, tzinfo=UTC)
HOSTILE = "\x1b[2J\x1b]0;owned\x07[red]Up\x9b31mdate[/red]\r\n\u202e::error::\x00"


def an_event(kind: str, text: str, **about: object) -> Event:
    return Event(NOON, kind, text, **about)  # type: ignore[arg-type]


def a_step(state: str, host: str = "web2", **about: object) -> Event:
    name = "Update the code"
    return an_event("step", name, step=name, host=host, phase="do", state=state, **about)


def told(screen: ui.Ui, *events: Event) -> list[str]:
    for event in events:
        screen.listen(event)
    out = getattr(screen.out, "stream", screen.out)
    assert isinstance(out, io.StringIO)
    return out.getvalue().splitlines()


def plain(*, json: bool = False, **environ: str) -> ui.Ui:
    return ui.choose(io.StringIO(), json, environ, err=io.StringIO())


# --- plain lines -----------------------------------------------------------------------------


def test_a_step_is_one_timestamped_line_when_it_has_ended() -> None:
    assert told(plain(), a_step("running"), a_step("done", seconds=1.2)) == [
        "12:00:03Z web2  Update the code … done (1.2s)"
    ]


def test_a_failure_brings_its_reason_indented() -> None:
    assert told(plain(), a_step("failed", seconds=72, detail="exit code 7\nno space")) == [
        "12:00:03Z web2  Update the code … failed (1m12s)",
        "    exit code 7",
        "    no space",
    ]


def test_phases_checks_notes_and_warnings_read_well() -> None:
    lines = told(
        plain(),
        an_event("phase", "batch 1 of 2: web1"),
        an_event("check", "alive", state="pass", seconds=0.012),
        an_event("note", "waiting"),
        an_event("warning", "cannot be undone"),
        an_event("step", "Update", step="Update", phase="undo", state="done"),
    )
    assert lines == [
        "12:00:03Z == batch 1 of 2: web1",
        "12:00:03Z check alive … pass (12ms)",
        "12:00:03Z waiting",
        "12:00:03Z WARNING: cannot be undone",
        "12:00:03Z undo Update … done",
    ]


def test_a_long_step_is_mentioned_while_it_runs_but_ever_more_rarely() -> None:
    now = 0.0
    out = io.StringIO()
    screen = ui.Ui(out, io.StringIO(), monotonic=lambda: now)
    screen.listen(a_step("running"))
    said = []
    for second in range(100):
        now = float(second)
        screen.tick()
        said.append(out.getvalue().count("still running"))
    assert [said.index(count) for count in (1, 2, 3)] == [10, 30, 90]
    screen.listen(a_step("done"))
    now = 1000.0
    screen.tick()
    assert out.getvalue().count("still running") == 3


def test_with_json_stdout_holds_the_object_and_nothing_else() -> None:
    out, err = io.StringIO(), io.StringIO()
    with ui.choose(out, True, {"TERM": "xterm"}, err=err) as screen:
        screen.listen(a_step("done"))
        screen.print('{"text": "\\u001b[31m"}')
    assert out.getvalue() == '{"text": "\\u001b[31m"}\n'
    assert "Update the code" in err.getvalue()


def test_lines_of_many_threads_do_not_mix() -> None:
    screen = plain()
    event = a_step("done", detail="one\ntwo")

    def fifty() -> None:
        for _ in range(50):
            screen.listen(event)

    talk = [threading.Thread(target=fifty) for _ in range(8)]
    for each in talk:
        each.start()
    for each in talk:
        each.join()
    assert told(screen) == told(plain(), event) * 400


def test_a_reader_who_left_is_no_error(tmp_path: Path) -> None:
    program = "from backout.adapters.terminal import ui; import sys\n"
    program += "with ui.choose(sys.stdout, False, {}) as screen:\n"
    program += "    for n in range(10000): screen.print('x' * 100)\n"
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" -c "$1" | head -1', sys.executable, program],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "x" * 100 + "\n"
    assert done.stderr == ""


@pytest.mark.parametrize("json", [False, True])
def test_a_log_that_takes_nothing_more_stops_nobody_who_tells(json: bool) -> None:
    program = "import sys\nfrom backout.adapters.terminal import ui\n"
    program += "from backout.model import Event\nfrom datetime import UTC, datetime\n"
    program += f"with ui.choose(sys.stdout, {json}, {{}}) as screen:\n"
    program += (
        "    for n in range(1000): screen.listen(Event(datetime.now(UTC), 'note', 'x' * 100))\n"
    )
    program += "    screen.print('{}'); screen.error('bad')\n"
    program += "screen.close()\nsys.exit(4)"
    with Path("/dev/full").open("w") as full:
        for out, err in ((full, subprocess.PIPE), (subprocess.PIPE, full), (full, full)):
            done = subprocess.run(
                [sys.executable, "-c", program], stdout=out, stderr=err, timeout=60, check=False
            )
            assert done.returncode == 4, done.stderr
            said = (done.stderr or b"") + (done.stdout or b"")
            assert b"Traceback" not in said
            if out is full and err is not full:
                assert b"stdout could not be written: No space left on device" in said


@pytest.mark.parametrize("json", [False, True])
def test_whoever_speaks_after_the_last_word_is_no_error(json: bool) -> None:
    """A thread that still sends a message, say, when the verb has ended."""
    out, err = io.StringIO(), io.StringIO()
    screen = ui.choose(out, json, {}, err=err)
    screen.close()
    out.close()
    err.close()
    screen.listen(an_event("warning", "not told yet"))
    screen.print("{}")
    screen.close()
    assert (out.closed, err.closed) == (True, True)


def test_an_ascii_stream_gets_what_it_can_show() -> None:
    raw = io.BytesIO()
    screen = ui.choose(io.TextIOWrapper(raw, "ascii"), False, {"TERM": "xterm"})
    screen.print("done … ✓")
    assert raw.getvalue() == b"done ? ?\n"


# --- hostile text ----------------------------------------------------------------------------


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_nothing_that_a_terminal_obeys_passes(text: str) -> None:
    shown = ui.clean(text)
    assert all(char in "\n\t" or ord(char) >= 32 for char in shown)
    assert not re.search("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)


def test_colours_vanish_and_words_stay() -> None:
    assert ui.clean("\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x1b\\link\x1b]8;;\x07") == "red link"
    assert ui.clean("10%\r20%\r\ndone") == "10%\n20%\ndone"


def test_a_sequence_hidden_inside_another_does_not_survive() -> None:
    assert "\x1b" not in ui.clean("\x1b\x1b[0m[31m")


def test_a_secrets_reference_reads_as_its_name() -> None:
    assert ui.clean("token \ue000api_key\ue001!") == "token [secret api_key]!"


def test_a_hostile_name_stays_on_its_line() -> None:
    event = an_event("step", HOSTILE, step=HOSTILE, host=HOSTILE, phase="do", state="done")
    (line,) = told(plain(), event)
    assert line.startswith("12:00:03Z [red]Update[/red] ")


# --- CI --------------------------------------------------------------------------------------


def test_github_gets_a_group_per_phase_and_the_report_outside_of_it() -> None:
    screen = plain(GITHUB_ACTIONS="true")
    lines = told(screen, an_event("phase", "preflight"), a_step("done"), an_event("phase", "two"))
    screen.print("Deployed.")
    assert [line for line in lines if line.startswith("::")] == [
        "::group::preflight",
        "::endgroup::",
        "::group::two",
    ]
    assert told(screen)[-2:] == ["::endgroup::", "Deployed."]


def test_output_cannot_speak_to_the_github_runner() -> None:
    screen = plain(GITHUB_ACTIONS="true")
    lines = told(screen, a_step("failed", detail="::stop-commands::x\n##[error]y"))
    screen.print("  ::set-output name=x::y")
    lines += told(screen)
    assert not any(re.match(r"\s*::", line) or "##[" in line for line in lines)


COMMANDS = (
    "##vso[task.setvariable variable=PATH]/tmp",
    "x ##vso[task.complete result=Succeeded]",
    "##teamcity[buildStatus status='SUCCESS']",
    "##[command]ls",
    "##[set-output name=x]y",
    "\t::set-output name=x::y",
    "::warning::x",
)
OBEYED = re.compile(r"##\w*\[|^\s*::[^\n]*::", re.MULTILINE)


@pytest.mark.parametrize("runner", ["GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD", "TEAMCITY_VERSION"])
@pytest.mark.parametrize("command", COMMANDS)
def test_output_cannot_speak_to_any_runner(command: str, runner: str) -> None:
    screen = ui.choose(io.StringIO(), False, {runner: "true"}, err=io.StringIO())
    lines = told(screen, a_step("failed", detail=f"x\n{command}"), an_event("note", command))
    screen.print(f"{command}\n{command}")
    screen.error(command)
    every = "\n".join((*lines, *told(screen), screen.err.getvalue()))  # type: ignore[attr-defined]
    assert OBEYED.search(command)
    assert not OBEYED.search(every)


def test_the_json_object_speaks_to_no_runner_and_says_the_same() -> None:
    screen = plain(json=True)
    data = {"stdout": "\n".join(COMMANDS)}
    screen.print(json.dumps(data))
    written = screen.out.getvalue()  # type: ignore[attr-defined]
    assert not OBEYED.search(written)
    assert json.loads(written) == data


def test_what_only_resembles_a_command_stays_as_it_is() -> None:
    for text in ("::1 is refused", "a ## heading", "## [x]", "std::vector::size", "fe80::1"):
        assert ui.clean(text) == text


def test_gitlab_gets_sections_with_ids_that_are_unique_and_closed() -> None:
    screen = plain(GITLAB_CI="true")
    with screen:
        told(screen, an_event("phase", "one"), an_event("phase", "two"))
    text = screen.out.getvalue()  # type: ignore[attr-defined]
    began = re.findall(r"\x1b\[0Ksection_start:\d+:([a-zA-Z0-9_.-]+)\r\x1b\[0K(\w+)\n", text)
    ended = re.findall(r"\x1b\[0Ksection_end:\d+:([a-zA-Z0-9_.-]+)\r\x1b\[0K\n", text)
    assert [title for _, title in began] == ["one", "two"]
    assert [group for group, _ in began] == ended
    assert len(set(ended)) == 2


# --- the terminal ----------------------------------------------------------------------------


A_DEPLOY = """
with screen:
    tell("phase", "preflight: web1, web2")
    step("Clean", "running", phase="preflight"); step("Clean", "done", phase="preflight")
    step("Commit", "running"); step("Commit", "done", seconds=0.4)
    tell("phase", "batch 1 of 1: web1, web2")
    for host in ("web1", "web2"):
        step("Update " + "long " * 30, "running", host)
    go_on()
    step("Update " + "long " * 30, "done", "web1", seconds=1.2)
    step("Update " + "long " * 30, "failed", "web2", seconds=72.0, detail="exit code 7")
    step("Window", "done", phase="finally")
    screen.print("Backed out.")
"""


def test_a_live_tree_ends_as_a_static_record() -> None:
    with on_a_terminal(A_DEPLOY) as session:
        eventually(lambda: session.screen.seen.count("long") > 100, saying="a few frames")
        session.type("\n")
        assert session.end() == 0
    shown = [line for line in session.screen.shown if line.strip()]
    title = "Update long long long long long long long long long"
    assert [line.rstrip() for line in shown] == [
        "preflight: web1, web2",
        "└── ✓ Clean",
        "on this machine",
        "└── ✓ Commit 0.4s",
        "batch 1 of 1: web1, web2",
        "├── web1",
        shown[6],
        "└── web2",
        shown[8],
        "        └── exit code 7",
        "at the end",
        "└── ✓ Window",
        "Backed out.",
    ]
    assert shown[6].startswith(f"│   └── ✓ {title}")
    assert shown[6].endswith("… 1.2s")
    assert shown[8].startswith(f"    └── ✗ {title}")
    assert shown[8].endswith("… failed 1m12s")
    assert session.screen.unknown == set()
    assert session.screen.seen.rindex("\x1b[?25h") > session.screen.seen.rindex("\x1b[?25l")


def test_time_passes_visibly_while_a_step_runs() -> None:
    with on_a_terminal(A_DEPLOY) as session:
        seen = eventually(
            lambda: len(set(re.findall(r"[⠀-⣿]", session.screen.seen))) > 3, saying="a spinner"
        )
        assert seen
        eventually(lambda: len(set(re.findall(r"\d\.\ds", session.screen.seen))) > 2)
        session.type("\n")
        session.end()


@pytest.mark.parametrize("columns", [12, 25, 40])
def test_a_narrow_terminal_cuts_titles_and_never_wraps_a_row(columns: int) -> None:
    with on_a_terminal(A_DEPLOY, columns) as session:
        eventually(lambda: session.screen.seen.count("web2") > 3)
        session.type("\n")
        assert session.end() == 0
    rows = [line for line in session.screen.shown if re.search("[✓✗]", line)]
    assert len(rows) == 5
    assert all(len(line.rstrip()) <= columns for line in session.screen.shown)


def test_a_terminal_that_is_resized_is_drawn_at_its_new_width() -> None:
    with on_a_terminal(A_DEPLOY, 100) as session:
        eventually(lambda: session.screen.seen.count("web2") > 3)
        session.resize(40)
        before = len(session.screen.seen)
        eventually(lambda: session.screen.seen.count("web2", before) > 6)
        session.type("\n")
        assert session.end() == 0
    ended = session.screen.shown
    assert all(len(line) <= 40 for line in ended[-7:])
    assert ended[-1] == "Backed out."


def test_more_hosts_than_lines_are_shown_as_far_as_they_fit_and_recorded_whole() -> None:
    program = """
    with screen:
        tell("phase", "batch")
        for n in range(60):
            step("Update", "running", f"web{n}")
        step("Update", "failed", "web59", detail="exit code 7")
        go_on()
        for n in range(59):
            step("Update", "done", f"web{n}")
    """
    with on_a_terminal(program) as session:
        eventually(lambda: "more" in session.screen.seen)
        live = session.screen.seen
        session.type("\n")
        session.end()
    assert "✗ web59  Update failed" in re.sub(r"\x1b\[[0-9;]*m", "", live)
    assert sum("✓ Update" in line for line in session.screen.shown) == 59


def test_hostile_names_and_output_do_not_reach_the_terminal() -> None:
    program = f"""
    hostile = {HOSTILE!r}
    with screen:
        tell("phase", hostile)
        step(hostile, "running", hostile)
        time.sleep(0.3)
        step(hostile, "failed", hostile, detail=hostile)
        tell("warning", hostile, host="[bold]x")
        screen.print(hostile)
        screen.error(hostile)
    """
    with on_a_terminal(program) as session:
        assert session.end() == 0
    assert session.screen.unknown == set(), "only the screen's own sequences"
    assert "\x1b]" not in session.screen.seen
    assert "\x9b" not in session.screen.seen
    assert "\u202e" not in session.screen.seen
    assert any("[red]Update[/red]" in line for line in session.screen.shown)
    assert any("[bold]x" in line for line in session.screen.shown)


def test_no_color_is_honoured() -> None:
    with on_a_terminal(A_DEPLOY, NO_COLOR="1") as session:
        session.type("\n")
        session.end()
    codes = re.findall(r"\x1b\[([0-9;]*)m", session.screen.seen)
    assert not re.search(r"\b(?:3[0-9]|4[0-9]|9[0-7])\b", " ".join(codes))


@pytest.mark.parametrize(("term", "kind"), [("dumb", "Ui"), ("", "Ui"), ("xterm", "Screen")])
def test_a_dumb_terminal_gets_plain_lines(term: str, kind: str) -> None:
    with on_a_terminal("print(type(screen).__name__)", TERM=term) as session:
        session.end()
    assert session.screen.shown == [kind]


# --- the person ------------------------------------------------------------------------------

A_QUESTION = """
from backout.adapters.terminal.operator import TerminalOperator
operator = TerminalOperator(screen, sys.stdin, yes=YES)
with screen:
    tell("phase", "batch")
    step("Commit", "running"); step("Commit", "done")
    meanwhile = threading.Thread(target=lambda: (time.sleep(0.2), tell("note", "meanwhile")))
    meanwhile.start()
    answer = operator.confirm("deploy to prod?", typed=TYPED)
    meanwhile.join()
    time.sleep(0.4)
print("answer", answer)
"""


@pytest.mark.parametrize(
    ("typed", "reply", "answer"),
    [
        ("", "y", True),
        ("", "", False),
        ("", "no", False),
        ("prod", "prod", True),
        ("prod", "yes", False),
    ],
)
def test_a_question_is_answered_on_the_terminal(typed: str, reply: str, answer: bool) -> None:
    with on_a_terminal(f"YES = False; TYPED = {typed!r}\n{A_QUESTION}", echo=True) as session:
        eventually(lambda: "deploy to prod?" in session.screen.seen)
        shown = session.screen.shown
        assert any("✓ Commit" in line for line in shown), "what has ended is there to be read"
        asked = "deploy to prod?"
        assert throughout(lambda: session.screen.shown[-1].startswith(asked), seconds=0.4)
        session.type(f"{reply}\n")
        assert session.end() == 0
    assert f"answer {answer}" in session.screen.shown
    assert any("meanwhile" in line for line in session.screen.shown), "told afterwards"


def test_yes_answers_and_says_so() -> None:
    screen = plain()
    operator = TerminalOperator(screen, io.StringIO(), yes=True)
    assert operator.confirm("deploy to prod?", typed="prod")
    assert told(screen) == ["deploy to prod? yes (--yes)"]


def test_without_a_terminal_a_question_is_a_refusal() -> None:
    operator = TerminalOperator(plain(), io.StringIO("y\n"))
    with pytest.raises(Refused, match="not confirmed: deploy to prod") as refusal:
        operator.confirm("deploy to prod?")
    assert refusal.value.exit_code == 3
    assert "--yes" in refusal.value.next


# --- how checks stand ----------------------------------------------------------------------------

A_WATCH = """
def stands(name, state, target="prod", **about):
    tell("state", name, host=target, state=state, **about)
with screen:
    tell("note", "watching prod, eu: 3 checks")
    stands("alive@web1", "pass", seconds=0.012)
    stands("alive", "pass", "eu", seconds=0.2)
    stands("old", "pass")
    go_on()
    stands("alive@web1", "fail", detail="status is 503", seconds=0.03)
    stands("old", "")
    tell("warning", "[prod] alive@web1 fails")
    go_on()
"""


def test_a_terminal_shows_how_each_check_stands_in_place() -> None:
    with on_a_terminal(A_WATCH) as session:
        screen = session.screen
        eventually(lambda: "alive@web1 12ms" in "".join(screen.lines), saying="one that passes")
        session.type("\n")
        eventually(lambda: "alive@web1 fail" in "".join(screen.lines), saying="it, red")
        session.type("\n")
        assert session.end() == 0
    shown = [line for line in session.screen.shown if line.strip()]
    assert shown[-6:] == [
        "watching",
        "├── prod",
        "│   └── ✗ alive@web1 fail 30ms",
        "│       └── status is 503",
        "└── eu",
        "    └── ✓ alive 0.2s",
    ]
    assert any("WARNING: [prod] alive@web1 fails" in line for line in shown)


def test_how_a_check_stands_is_no_line_where_lines_are_kept() -> None:
    assert told(plain(), an_event("state", "alive", host="prod", state="pass")) == []


ROWS = [
    ("started", "took", "target", "what", "outcome", "run", "commit"),
    ("2026-11-28 21:37Z", "41s", "eu/api", "deploy", "backed_out", "2026-f1f32fae8defd3", "Fix it"),
    ("2026-11-28 21:37Z", "1m1s", "local", "run fix", "succeeded", "2026-e29658d49cc4c8", "x" * 30),
]  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 72, 80, 100])
def test_a_table_that_is_too_wide_breaks_between_the_same_columns_in_every_row(width: int) -> None:
    head, *rows = (fitted(line, width).split("\n") for line in table(ROWS, indent=""))
    for row, cells in zip(rows, ROWS[1:], strict=True):
        assert all(len(line) <= width for line in row)
        assert "  ".join(" ".join(row).split()) == "  ".join(" ".join(cells).split())
        for above, line in zip(head, row, strict=False):
            assert {at for at in _starts(above) if at < len(line)} <= _starts(line)


def _starts(line: str) -> set[int]:
    """Where its columns begin."""
    return {found.start() for found in re.finditer(r"(?:(?<=  )|^)\S", line)}


@given(st.text(alphabet="abc  -", max_size=300), st.integers(40, 120))
def test_broken_lines_keep_every_word_and_fit(text: str, width: int) -> None:
    rows = fitted(text, width).split("\n")
    assert " ".join(rows).split() == text.split()
    if max(map(len, text.split()), default=0) < width // 2 and not text.startswith("    "):
        assert all(len(row) <= max(width, 0) for row in rows)
