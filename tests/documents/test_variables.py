"""What a note sets in one line holds in the lines that follow: each step is a shell of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backout.documents import variables
from backout.documents.building import build
from backout.documents.draft import Built
from backout.documents.files import sound
from backout.documents.reading import read
from backout.project.project import TABLES


def imported(*lines: str, back: tuple[str, ...] = ()) -> Built:
    text = "\n".join(("# Release", "", "```bash", *lines, "```", ""))
    if back:
        text += "\n".join(("", "## Rollback", "", "```bash", *back, "```", ""))
    return sound(build(read(text, "note.md")), TABLES)


@pytest.mark.parametrize(
    ("set", "used", "run"),
    [
        ("export DIR=/srv/api", "make -C $DIR deploy", "make -C /srv/api deploy"),
        ("DIR=/srv/api", "make -C ${DIR} deploy", "make -C /srv/api deploy"),
        ("A=/srv B='api' C=\"x y\"", 'make -C "$A/$B" "$C"', 'make -C "/srv/api" "x y"'),
        ("DIR=/srv/api", "ssh web1 'cd $DIR && make'", "ssh web1 'cd $DIR && make'"),
        ("DIR=/srv/api", 'ssh web1 "cd \\$DIR && make"', 'ssh web1 "cd \\$DIR && make"'),
        ("ROOT=/srv\nDIR=$ROOT/api", "make -C $DIR deploy", "make -C /srv/api deploy"),
        ("DIR=/srv\nDIR=/opt", "make -C $DIR deploy", "make -C /opt deploy"),
    ],
)
def test_a_value_that_stands_in_the_note_is_put_in_where_its_shell_would_put_it(
    set: str, used: str, run: str
) -> None:
    made = imported(*set.split("\n"), used)
    assert [step["run"] for step in made.runbook["steps"]] == [run]
    assert all("saved" not in str(step.get("env")) for step in made.runbook["steps"])


def test_a_value_that_a_command_gives_is_had_by_a_step_and_saved_for_what_uses_it() -> None:
    made = imported('TAG="v-$(git rev-parse --short HEAD)"', "docker build -t app:$TAG .")
    got = made.runbook["preflight"][-1]
    assert got["readonly"] is True
    assert got["save"] == {"TAG": "stdout"}
    assert made.runbook["steps"][0]["env"] == {"TAG": "{{ saved.TAG }}"}


def test_what_says_the_value_by_changing_something_is_asked_for_its_way_back() -> None:
    made = imported("ID=$(./start-job --now)", "./wait-for $ID")
    got = made.runbook["steps"][0]
    assert got["save"] == {"ID": "stdout"}
    assert "readonly" not in got
    assert "undecided" in got["irreversible"]


def test_the_way_back_has_what_was_saved_before_the_first_change() -> None:
    made = imported(
        "./stop-jobs", "PREV=$(git rev-parse HEAD)", "./deploy", back=("./deploy $PREV",)
    )
    names = [step["name"] for step in made.runbook["steps"]]
    kept = names.index("Keep the note's way back")
    saving = next(at for at, step in enumerate(made.runbook["steps"]) if "save" in step)
    assert saving < kept
    assert made.runbook["steps"][kept]["env"] == {"PREV": "{{ saved.PREV }}"}
    assert {f.into for f in made.reading.found if f.phase == "rollback"} == {f"steps[{kept}]"}


@pytest.mark.parametrize(
    "loop",
    [
        'for h in web1 web2; do ssh deploy@$h "cd /srv/api && git pull --ff-only"; done',
        'for h in web{1..2}; do ssh deploy@"$h" "cd /srv/api && git pull --ff-only"; done',
        'for h in web{1,2}\ndo\n  ssh deploy@${h} "cd /srv/api && git pull --ff-only"\ndone',
        'HOSTS="web1 web2"\nfor h in $HOSTS; do ssh deploy@$h "cd /srv/api && git pull"; done',
    ],
)
def test_a_loop_over_machines_names_each_of_them(loop: str) -> None:
    made = imported("git push origin main", *loop.split("\n"))
    assert [step["name"] for step in made.runbook["steps"]] == ["Push", "Update the code"]
    assert made.inventory["hosts"] == {
        name: {"address": name, "user": "deploy"} for name in ("web1", "web2")
    }
    assert made.inventory["source"]["directory"] == "/srv/api"


def test_a_loop_names_no_service_by_its_variable() -> None:
    made = imported("for h in $(cat hosts); do ssh $h sudo systemctl restart api; done")
    assert made.inventory["service"] == {"name": "api", "backend": "systemd"}
    assert any("which machine is" in each.ask for each in made.reading.questions)


@pytest.mark.parametrize("text", ["FOO=1 ./deploy", "export", "A=1; ./deploy", "A=1 && b", "a b=c"])
def test_what_does_anything_else_is_no_mere_assignment(text: str) -> None:
    assert variables.assignments(text) == {}


PLAIN = st.text("abcXYZ019_./:@%+,=-", min_size=1, max_size=12)
TEXTS = st.lists(
    st.sampled_from(["$A", "${A}", '"$A"', "'$A'", "\\$A", "x", " ", '"a $A b"', "${A}b", "\\\\"]),
    min_size=1,
    max_size=8,
).map("".join)


@settings(max_examples=60)
@given(value=PLAIN, text=TEXTS)
def test_a_shell_reads_the_same_with_the_value_put_in(value: str, text: str) -> None:
    one = f"printf '<%s>' {text}"
    put = variables.put_in(one, {"A": value})
    asked = (f"A={value}; {one}", put)
    said = [subprocess.run(["sh", "-c", each], capture_output=True, check=False) for each in asked]
    assert said[0].stdout == said[1].stdout


def test_the_words_of_a_loop_are_what_bash_makes_of_them(tmp_path: Path) -> None:
    loop = "for h in a{1..3} b{x,y}c d; do echo $h; done"
    spelled = variables.spelled(loop)
    dash, bash = (
        subprocess.run([shell, "-c", text], capture_output=True, check=True, cwd=tmp_path).stdout
        for shell, text in (("dash", spelled), ("bash", loop))
    )
    assert dash == bash
