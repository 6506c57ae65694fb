"""A note is typed into a session: where that stands, what its shell was told and on which machine
it is, each step knows that was made of one of its lines."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from backout.documents.building import build
from backout.documents.draft import Built
from backout.documents.files import sound
from backout.documents.looking import only_looks
from backout.documents.reading import read
from backout.project.project import TABLES


def imported(text: str) -> Built:
    return sound(build(read(text, "docs/note.md")), TABLES)


def typed(*lines: str, back: str = "") -> Built:
    """A note with one fence under "Deploy", and one under "Rollback"."""
    way_back = f"## Rollback\n```sh\n{back}\n```\n" if back else ""
    return imported("# X\n## Deploy\n```sh\n" + "\n".join(lines) + f"\n```\n{way_back}")


def step(built: Built, run: str) -> dict[str, Any]:
    """The step whose text ends with these words."""
    (found,) = (s for s in built.runbook["steps"] if str(s.get("run", "")).endswith(run))
    return dict(found)


@pytest.mark.parametrize(
    ("before", "cwd"),
    [
        (["cd /srv/app"], "/srv/app"),
        (["cd /srv/app && git pull"], "/srv/app"),
        (["git pull; cd /srv/app"], "/srv/app"),
        (["cd /srv/app || exit 1"], "/srv/app"),
        (["cd /srv/app", "cd web"], "/srv/app/web"),
        (["cd /srv/app/web", "cd .."], "/srv/app"),
        (["cd web", "cd assets"], "web/assets"),
        (["cd web && npm ci", "cd .."], None),
        (["cd web", "cd -"], None),
        (["pushd web", "popd"], None),
        (["(cd /srv/app && git pull)"], None),
        (["cd /srv/app | cat"], None),
        (["ssh web1 'cd /srv/app && git pull'"], None),
        (["if true; then cd /srv/app; fi"], None),
    ],
)
def test_a_line_runs_where_the_lines_before_it_have_gone(
    before: list[str], cwd: str | None
) -> None:
    assert step(typed(*before, "bin/warm"), "bin/warm").get("cwd") == cwd


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (["source venv/bin/activate"], ". venv/bin/activate"),
        (["cd /srv/app", ". ./env.sh"], ". /srv/app/env.sh"),
        (["source .env"], ". ./.env"),
        (["source ~/.nvm/nvm.sh", "nvm use 20"], ". ~/.nvm/nvm.sh\nnvm use 20"),
        (["set -a", "source .env", "set +a"], "set -a\n. ./.env\nset +a"),
        (["umask 027"], "umask 027"),
        (["set -euo pipefail"], ""),
        (["source venv/bin/activate", "deactivate"], ""),
        (["ssh d@web1", "source venv/bin/activate", "exit"], ""),
    ],
)
def test_what_a_shell_was_told_each_step_behind_it_is_told_again(
    before: list[str], told: str
) -> None:
    made = typed(*before, "bin/warm")
    assert step(made, "bin/warm")["run"] == f"{told}\nbin/warm".lstrip("\n")
    assert not any("venv" in q.ask or "nvm" in q.ask for q in made.reading.questions)


def test_what_a_shell_was_told_reaches_the_next_fence_and_no_step_that_has_no_need_of_it() -> None:
    made = imported(
        "# X\n## Deploy\n```sh\nssh d@web1.lan\ncd /srv/app\nsource venv/bin/activate\n```\n"
        "Then:\n```sh\ngit pull\npip install -r requirements.txt\nsudo systemctl restart app\n```\n"
    )
    assert step(made, "requirements.txt")["run"].startswith(". /srv/app/venv/bin/activate\n")
    assert [s["name"] for s in made.runbook["settle"]] == ["Restart"]
    assert {"update", "restart"} <= {key for s in all_steps(made) for key in s}


def all_steps(built: Built) -> list[dict[str, Any]]:
    return [*built.runbook.get("steps", ()), *built.runbook.get("settle", ())]


def test_the_way_back_goes_where_its_own_lines_go() -> None:
    made = typed(
        "cd /srv/app && git pull", "source venv/bin/activate", "python manage.py migrate",
        back="cd /srv/app\nsource venv/bin/activate\npython manage.py migrate shop 0007\nbin/cool",
    )  # fmt: skip
    (kept,) = (s for s in made.runbook["steps"] if s["name"] == "Keep the note's way back")
    assert kept["undo"] == "cd /srv/app\n. /srv/app/venv/bin/activate\nbin/cool"
    assert (
        step(made, "migrate")["undo"]
        == ". /srv/app/venv/bin/activate\npython manage.py migrate shop 0007"
    )


def test_a_value_that_the_way_back_asks_for_is_asked_for_as_it_goes_back() -> None:
    made = typed("bin/switch", back="PREV=$(bin/before)\nbin/switch $PREV")
    (kept,) = (s for s in made.runbook["steps"] if s["name"] == "Keep the note's way back")
    assert kept["undo"] == "PREV=$(bin/before)\nbin/switch $PREV"


@pytest.mark.parametrize(
    ("prompt", "user", "machine"),
    [
        ("deploy@web1.lan:~$", "deploy", "web1.lan"),
        ("[root@web1 ~]#", "root", "web1"),
        ("(venv) ops@web1.lan:/srv/app$", "ops", "web1.lan"),
    ],
)
def test_a_prompt_says_whose_shell_it_is(prompt: str, user: str, machine: str) -> None:
    made = imported(f"# X\n## Deploy\n```console\n{prompt} bin/warm\n{prompt} bin/heat\n```\n")
    assert made.inventory["hosts"] == {machine: {"address": machine, "user": user}}
    assert {s["on"] for s in made.runbook["steps"]} == {"all"}
    assert [q.ask for q in made.reading.questions if "names" in q.ask and "all of" in q.ask] == [
        f"the note names {machine}: is that all of them? (hosts of the inventory)"
    ]


def test_a_prompt_says_where_its_shell_stands() -> None:
    made = imported("# X\n## Deploy\n```console\nd@web1.lan:/srv/app$ bin/warm\n```\n")
    assert step(made, "bin/warm")["cwd"] == "/srv/app"


@pytest.mark.parametrize("who", ["me@laptop", "eve@eves-macbook-pro", "dev@localhost"])
def test_the_prompt_of_ones_own_machine_is_none_of_a_host(who: str) -> None:
    made = imported(f"# X\n## Deploy\n```console\n{who}:~$ bin/warm\n```\n")
    assert "on" not in step(made, "bin/warm")
    assert made.inventory["hosts"] == {"here": {"connection": "local"}}


def test_the_same_lines_on_two_machines_are_one_step_on_both_and_others_on_their_own() -> None:
    there = ["cd /srv/shop && git pull", "bin/build", "sudo systemctl restart shop", "exit"]
    made = typed(
        "ssh d@web1.lan", *there, "ssh d@web2.lan", *there,
        "ssh -i ~/.ssh/prod.pem -p 2222 root@db1.lan", "bin/analyze",
    )  # fmt: skip
    where = {s["name"]: s.get("on") for s in all_steps(made)}
    assert where == {
        "Update the code": "web",
        "bin/build": "web",
        "bin/analyze": "db1.lan",
        "Restart": "web",
    }
    assert made.inventory["hosts"] == {
        "web1.lan": {"address": "web1.lan", "user": "d", "groups": ["web"]},
        "web2.lan": {"address": "web2.lan", "user": "d", "groups": ["web"]},
        "db1.lan": {"address": "db1.lan", "user": "root", "port": 2222},
    }
    assert made.inventory["ssh"] == {"identity": "~/.ssh/prod.pem"}


@pytest.mark.parametrize("port", ["0", "65536", "²", "9" * 30, "$PORT", "-2"])
def test_what_is_no_port_is_none_of_a_machine(port: str) -> None:
    made = typed(f"ssh -p {port} d@web1.lan", "bin/build")
    assert "port" not in made.inventory["hosts"].get("web1.lan", {})


def test_a_line_that_is_typed_twice_on_one_machine_is_two_steps() -> None:
    made = typed("ssh d@web1.lan", "bin/turn", "bin/other", "bin/turn")
    assert [s["run"] for s in made.runbook["steps"]] == ["bin/turn", "bin/other", "bin/turn"]


def test_machines_whose_names_have_nothing_in_common_are_a_group_all_the_same() -> None:
    there = ["bin/build", "exit"]
    made = typed("ssh d@anna", *there, "ssh d@bert", *there, "ssh d@cleo", "bin/other")
    assert {s["run"]: s["on"] for s in made.runbook["steps"]} == {
        "bin/build": "some",
        "bin/other": "cleo",
    }


@pytest.mark.parametrize(
    "text",
    [
        "[[ -f .env ]] && bin/build",
        "diff <(bin/a) <(bin/b)",
        "bin/build <<< hello",
        "bin/build &> log",
        "mkdir -p out/{1..3}",
        "names=(a b); bin/build",
        'bin/build "${NAME^^}"',
        "bin/build $'a\\tb'",
    ],
)
def test_what_only_bash_reads_bash_is_given(text: str) -> None:
    (made,) = typed(text).runbook["steps"]
    assert made["run"].startswith("exec bash -ec ")
    said = subprocess.run(
        ["sh", "-c", f"bash() {{ printf %s \"$2\"; }}; {made['run'].removeprefix('exec ')}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == text


@pytest.mark.parametrize(
    "text",
    ["[ -f .env ] && bin/build", "bin/build '[[ x ]]'", 'bin/say "a <(b)"', "bin/build ${NAME:-x}",
     "bin/build {a,b} 2>&1", "bin/build --source here"],
)  # fmt: skip
def test_what_any_shell_reads_is_left_as_it_stands(text: str) -> None:
    (made,) = typed(text).runbook["steps"]
    assert made["run"] == text


def test_the_line_that_names_a_scripts_shell_is_no_command_and_no_name(tmp_path: Path) -> None:
    made = imported("# X\n## Deploy\n```\n#!/usr/bin/env bash\nset -e\nbin/build --all\n```\n")
    (only,) = made.runbook["steps"]
    assert (only["name"], only["run"]) == ("bin/build --all", "bin/build --all")
    assert [q.line for q in made.reading.questions if "taken back" in q.ask] == [6]


@pytest.mark.parametrize("tag", ["v1.8.0", "tag v2", "refs/tags/v3", "2026.11.30"])
def test_a_tag_that_is_pushed_is_no_push_of_the_branch(tag: str) -> None:
    made = typed("git tag -a v1.8.0 -m x", f"git push origin {tag}")
    name = tag.removeprefix("tag ").removeprefix("refs/tags/")
    assert made.runbook["steps"][-1]["undo"] == f"git push --delete origin refs/tags/{name}"
    assert "branch" not in made.inventory.get("source", {})


def test_a_branch_that_is_pushed_with_a_tag_is_taken_as_it_stands() -> None:
    assert step(typed("git push origin main v1.8.0"), "main v1.8.0")["run"]


def test_the_application_is_what_heroku_calls_so_and_not_its_process() -> None:
    made = typed("git push heroku main", "heroku ps:restart web -a shop-prod")
    assert made.inventory["service"] == {"name": "shop-prod", "backend": "heroku"}


@pytest.mark.parametrize(
    ("sentence", "status"),
    [
        ("| home | `curl -I https://a.example.org/` | `HTTP/2 200` |", 200),
        ("- `curl https://a.example.org/x` returns 302", 302),
        ("`curl https://a.example.org/x` muss 204 liefern.", 204),
        ("`curl https://a.example.org/x` must answer `401 Unauthorized`.", 401),
    ],
)
def test_what_a_sentence_says_that_a_request_answers_is_asked_of_it(
    sentence: str, status: int
) -> None:
    (check,) = imported(f"# X\n## Check\n\n{sentence}\n").inventory["checks"].values()
    assert check["expect"] == [f"status == {status}"]


def test_brackets_inside_of_a_quoted_command_are_no_command_of_their_own() -> None:
    line = "NOW=$(git rev-parse HEAD) bin/ship --all"
    made = imported(f"# X\n## Deploy\n\nRun `{line}`.\n")
    assert [each.text for each in made.reading.found] == [line]


def test_of_two_parts_of_one_line_only_the_one_that_is_taken_back_is_not_asked_for() -> None:
    made = typed(
        "ssh d@w 'cd /srv/a && git pull && npm ci && npm run migrate'",
        back="npm run migrate:undo",
    )
    assert step(made, "migrate")["undo"] == "npm run migrate:undo"
    assert [q.ask for q in made.reading.questions if "taken back" in q.ask] == [
        "how is this taken back? npm ci"
    ]


@pytest.mark.parametrize(
    "line", ["./switch > log", "./switch >> switch.log 2>&1", "./switch 2>&1 | tee switch.log"]
)
def test_a_command_is_no_look_because_its_output_is_kept_in_a_log(line: str) -> None:
    (made,) = typed(line).runbook["steps"]
    assert made["run"] == line


@pytest.mark.parametrize(
    ("sentence", "named"),
    [
        ("On `app1.acme.de`:", ["app1.acme.de"]),
        ("Auf ops@app1.acme.de und app2.acme.de nacheinander:", ["app1.acme.de", "app2.acme.de"]),
        ("Now on the first box (`app1.acme.de`), type:", []),
        ("Then, on the server app1.acme.de:", ["app1.acme.de"]),
        ("On the machine that config.yml names:", []),
        ("On success, see https://app1.acme.de/x:", []),
        ("Say hello to app1.acme.de:", []),
    ],
)
def test_the_sentence_before_says_on_which_machines_its_lines_are_typed(
    sentence: str, named: list[str]
) -> None:
    made = imported(f"# X\n## Deploy\n\n{sentence}\n\n```sh\nbin/warm\n```\n")
    assert [*made.inventory["hosts"]] == (named or ["here"])
    assert step(made, "bin/warm").get("on") == ("all" if named else None)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("export NODE_ENV=production", "export NODE_ENV=production\n"),
        ("export TAG=$(bin/tag)", "export TAG=$(bin/tag)\n"),
        ("NODE_ENV=production", ""),
    ],
)
def test_what_is_exported_for_programs_they_are_given(line: str, told: str) -> None:
    assert step(typed(line, "bin/build"), "bin/build")["run"] == f"{told}bin/build"


def test_a_variable_of_the_note_itself_stands_where_the_note_asks_for_it() -> None:
    made = typed("export DIR=/srv/app", "cd $DIR", "bin/build --into $DIR")
    assert step(made, "/srv/app")["run"] == "bin/build --into /srv/app"


@pytest.mark.parametrize(
    "line",
    [
        "npm version patch", "rm -v dist/old.js", "env A=1 bin/seed", "heroku config:set A=1 -a x",
        "heroku releases:rollback v3", "git branch -D old", "git remote add x y", "date -s 12:00",
        "kubectl config use-context prod", "echo $(bin/seed)", "hostname new", "git tag v1",
        "git config user.name x", "docker compose run x", "git stash", "systemctl start x",
    ],
)  # fmt: skip
def test_what_looks_like_a_look_and_is_none_has_no_leave_to_be_without_a_way_back(
    line: str,
) -> None:
    assert not only_looks(line)


@pytest.mark.parametrize(
    "line",
    [
        "git rev-parse --short HEAD", "git -C /srv/app status", "node --version", "psql -V",
        "sudo systemctl status api", "kubectl -n api get pods -o wide",
        "docker compose -f x.yml ps",
        "cat VERSION", "date +%F", "heroku config:get URL -a x", "git branch --show-current",
        "pm2 list", "git tag -l 'v*'", "hostname -f",
    ],
)  # fmt: skip
def test_what_only_looks_needs_no_way_back(line: str) -> None:
    assert only_looks(line)


@pytest.mark.parametrize(
    "line",
    [
        "sudo systemctl restart worker@1 worker@2", "pm2 reload api worker",
        "docker restart web db", "docker compose up -d web worker", "supervisorctl restart a b",
    ],
)  # fmt: skip
def test_a_restart_of_several_services_is_taken_as_it_stands(line: str) -> None:
    assert step(typed(line), line)["run"] == line


@pytest.mark.parametrize(
    "line",
    [
        "sudo systemctl restart --no-block api", "pm2 reload api --update-env",
        "pm2 startOrReload ecosystem.config.js --only api --env production",
        "docker restart -t 30 api",
        "docker compose up -d --build api", "supervisorctl restart api",
        "supervisorctl restart a:*",
    ],
)  # fmt: skip
def test_a_restart_of_one_service_is_the_restart_of_the_target(line: str) -> None:
    assert [s["name"] for s in typed(line).runbook["settle"]] == ["Restart"]


def test_a_loop_ends_with_its_last_word_and_not_with_a_document_in_it() -> None:
    made = typed(
        "for h in w1 w2; do", "  ssh ops@$h.lan <<'EOS'", "    cd /opt/worker && git pull",
        "    bin/build", "EOS", "done",
    )  # fmt: skip
    assert [*made.inventory["hosts"]] == ["w1.lan", "w2.lan"]
    assert [s["name"] for s in made.runbook["steps"]] == ["Update the code", "bin/build"]
    assert [f.line for f in made.reading.found] == [4]


def test_commands_of_a_paragraph_stand_beside_each_other_whatever_their_programs() -> None:
    lines = ["docker build -t a:$(bin/tag) .", "docker stop a && docker rm a"]
    note = "# X\n\n1. Ship it\n\n" + "".join(f"    {line}\n" for line in lines)
    assert [each.text for each in imported(note).reading.found] == lines


@pytest.mark.parametrize(
    ("first", "second", "again"),
    [
        ("## Local development", "## Deploy", False),
        ("## 1. Prepare", "## 2. Deploy", True),
        ("## Deploy\n### Activate", "### Install", True),
        ("## Step 1: prepare", "## Step 2: deploy", True),
    ],
)
def test_what_one_tells_a_shell_to_work_here_is_not_told_to_deploy(
    first: str, second: str, *, again: bool
) -> None:
    made = imported(
        f"# X\n{first}\n```sh\nexport NODE_ENV=development\nbin/prepare\n```\n"
        f"{second}\n```sh\nbin/build\n```\n"
    )
    assert ("NODE_ENV" in step(made, "bin/build")["run"]) is again


def test_a_session_on_a_machine_goes_on_below_the_next_heading() -> None:
    made = imported(
        "# X\n## Enter\n```sh\nssh d@web1.lan\nsource venv/bin/activate\n```\n"
        "## Deploy\n```sh\nbin/build\n```\n"
    )
    assert step(made, "bin/build")["run"] == ". venv/bin/activate\nbin/build"


@pytest.mark.parametrize(
    ("chain", "run"),
    [
        ("export A=1 && npm ci && git push", "export A=1\nnpm ci"),
        ("A=1 && npm ci --tag $A && git push", "npm ci --tag 1"),
        ("umask 027 && npm ci && git push", "umask 027\nnpm ci"),
        ("cd web && cd app && npm ci && git push", "npm ci"),
    ],
)
def test_the_links_of_a_chain_have_one_session(chain: str, run: str) -> None:
    made = typed(chain)
    assert [s.get("run", s["name"]) for s in made.runbook["steps"]] == [run, "Push"]
    assert made.runbook["steps"][0].get("cwd") == ("web/app" if "cd" in chain else None)


def test_a_value_that_only_the_chain_can_tell_keeps_it_together() -> None:
    chain = "TAG=$(git describe) && docker build -t a:$TAG . && git push"
    assert step(typed(chain), "git push")["run"] == chain
