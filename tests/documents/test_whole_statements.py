"""A step or a check of a kind stands for a statement only when that kind does all that it says."""

from __future__ import annotations

from typing import Any

import pytest

from backout.documents.building import build
from backout.documents.draft import Built
from backout.documents.files import sound
from backout.documents.pieces import OPEN
from backout.documents.reading import read
from backout.project.project import TABLES


def imported(text: str) -> Built:
    return sound(build(read(text, "docs/note.md")), TABLES)


def the_check(line: str) -> dict[str, Any]:
    made = imported(f"# X\n## Verify\n```sh\n{line}\n```\n")
    (check,) = made.inventory["checks"].values()
    return {key: value for key, value in check.items() if key != "follows"}


def written(made: Built) -> str:
    """All that the runbook would run."""
    steps = [*made.runbook.get("steps", ()), *made.runbook.get("settle", ())]
    return "\n".join(str(step.get("run", "")) + str(step.get("undo", "")) for step in steps)


@pytest.mark.parametrize(
    "line",
    [
        "! curl -sf http://a.example.org/old",
        "if curl -sf http://a.example.org/old; then exit 1; fi",
        "while curl -sf http://a.example.org/old; do sleep 1; done",
        "test \"$(curl -s -o /dev/null -w '%{http_code}' http://a.example.org/x)\" = 404",
        "curl -s http://a.example.org/x | grep -q ready",
        "curl -s http://a.example.org/x | jq -e '.ok'",
        "curl -sf http://a.example.org/x && bin/smoke",
        "curl -sf http://a.example.org/x; curl -sf http://b.example.org/x",
        "for n in 1 2; do curl -sf http://h$n.example.org/x; done",
        "kubectl get pods && bin/smoke",
    ],
)
def test_what_judges_an_answer_is_part_of_the_check(line: str) -> None:
    assert the_check(line) == {"command": {"run": line}, "expect": ["exit_code == 0"]}


@pytest.mark.parametrize(
    "options",
    [
        "-d @order.json",
        "-F file=@order.json",
        "-T order.json",
        "--data-urlencode 'q=a b' -G",
        "--unix-socket /run/api.sock",
        "--resolve a.example.org:80:127.0.0.1",
        "--cert me.pem --key me.key",
        "-b jar.txt",
        "--digest -u me:word",
        "-L --max-redirs 0",
        "-H @headers.txt",
        '-H "Authorization: Bearer $(cat token)"',
        "--nobody-knows-this yet",
    ],
)
def test_what_an_http_check_cannot_say_stays_a_command_that_an_error_fails(options: str) -> None:
    made = the_check(f"curl -s {options} http://a.example.org/x")
    assert made["command"]["run"] == f"curl --fail -s {options} http://a.example.org/x"
    assert made["expect"] == ["exit_code == 0"]


@pytest.mark.parametrize("several", ["{a,b}", "[1-3]"])
def test_several_addresses_in_one_are_all_asked(several: str) -> None:
    made = the_check(f"curl 'http://a.example.org/{several}'")
    assert made["command"]["run"] == f"curl --fail 'http://a.example.org/{several}'"


@pytest.mark.parametrize(
    "line",
    [
        "curl -sS --proto '=https' --tlsv1.2 https://a.example.org/x",
        "curl -fsSL --retry 3 --max-time 5 https://a.example.org/x | jq .status",
        "curl -i https://a.example.org/x | head -1",
        "curl -sf https://a.example.org/x || exit 1",
        "until curl -sf https://a.example.org/x; do sleep 1; done",
        "while ! curl -sf https://a.example.org/x; do sleep 1; done",
        "curl -sf https://a.example.org/x && echo fine",
    ],
)
def test_one_request_whose_answer_is_only_shown_is_an_http_check(line: str) -> None:
    assert the_check(line)["http"]["url"] == "https://a.example.org/x"


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        ("-b session=abc", {"Cookie": "session=abc"}),
        ("-A probe", {"User-Agent": "probe"}),
        ("--oauth2-bearer abc", {"Authorization": "Bearer abc"}),
    ],
)
def test_an_option_that_sends_a_header_is_that_header(
    options: str, headers: dict[str, str]
) -> None:
    assert the_check(f"curl {options} https://a.example.org/x")["http"]["headers"] == headers


def test_the_password_of_a_request_that_is_a_blank_is_a_secret_and_never_sent_as_its_name() -> None:
    made = imported(
        "# X\n## Verify\n```sh\ncurl -u admin:$ADMIN_PASSWORD https://a.example.org/x\n```\n"
    )
    (check,) = made.inventory["checks"].values()
    assert check["command"]["env"] == {"ADMIN_PASSWORD": "{{ secrets.admin_password }}"}


def test_a_look_at_another_machine_is_not_made_from_this_one() -> None:
    made = the_check("ssh deploy@web1.lan curl -s http://localhost:8080/health")
    run = "ssh deploy@web1.lan curl --fail -s http://localhost:8080/health"
    assert made["command"] == {"run": run}


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("must answer 201", "status == 201"),
        ("must not answer 500", "status < 400"),
        ("no 502 any more", "status < 400"),
        ("no longer a 404", "status < 400"),
        ("darf nicht 500 sein", "status < 400"),
        ("answers within 300 ms", "status < 400"),
        ("401 without a token, else 200", "status < 400"),
    ],
)
def test_only_the_one_status_that_the_words_ask_for_is_expected(
    comment: str, expected: str
) -> None:
    assert the_check(f"curl https://a.example.org/x  # {comment}")["expect"] == [expected]


@pytest.mark.parametrize(
    "line",
    [
        "git -C /srv/x checkout v2 -- config",
        "git push origin --delete old",
        "docker stop api && docker rm api && docker run -d --name api api:2",
        "sudo systemctl restart api && sudo systemctl restart worker",
        "docker compose up -d && docker compose exec api migrate",
        "systemctl disable old-api",
        "git pull && make all || ./tell",
        "git pull; make all",
        "(cd /srv/x && git pull && make all)",
        "npm run build && npm run seed",
        "ssh -J jump d@w 'git pull && make all'",
        'ssh d@w "cd $DIR && git pull && make all"',
        "ssh d@w git pull && make all | tee log",
    ],
)
def test_what_hangs_together_otherwise_is_taken_as_it_stands(line: str) -> None:
    made = imported(f"# X\n## Deploy\n```sh\n{line}\n```\n")
    assert line.replace("$DIR", "${DIR}") in written(made).replace("$DIR", "${DIR}")
    assert any("how is this taken back" in each.ask for each in made.reading.questions)


THERE = {"cwd": "/srv/a", "on": "all"}


@pytest.mark.parametrize(
    ("line", "steps"),
    [
        ("git push origin main && npm publish", ["push", "npm publish"]),
        ('git commit -am "x" && ./notify-all', ["commit", "./notify-all"]),
        ("cd /srv/a && git pull && make assets", ["update", ("make assets", {"cwd": "/srv/a"})]),
        ("echo yes > /etc/app/flag && git push origin main",
         ["echo yes > /etc/app/flag", "push"]),
        ("docker compose pull && docker compose up -d", ["docker compose pull", "restart"]),
        ("npm ci \\\n  && git push", ["npm ci", "push"]),
        ("ssh d@w 'cd /srv/a && git pull && make all && sudo systemctl restart a'",
         ["update", ("make all", THERE), "restart"]),
        ("ssh -t d@w \"cd /srv/a; git pull\nmake all\"", None),
        ("ssh d@w <<'EOF'\nset -e\ncd /srv/a\ngit pull\n# all of it\nmake all\nEOF",
         ["update", ("make all", THERE)]),
        ("ssh d@w bash -s <<EOF\ncd /srv/a && git fetch && git reset --hard origin/main\n"
         "make all && sudo systemctl restart a && sleep 5 && systemctl status a\nEOF",
         ["update", ("make all", THERE), "restart"]),
        ("for h in w1 w2; do ssh d@$h 'cd /srv/a && git pull && make all'; done",
         ["update", ("make all", THERE)]),
        ("git add . && git commit -m x && git push && ssh d@w 'cd /srv/a && git pull && make all'",
         ["commit", "push", "update", ("make all", THERE)]),
        ("cd web && . ./env.sh && npm run build && git push",
         [(". ./env.sh\nnpm run build", {"cwd": "web"}), "push"]),
    ],
)  # fmt: skip
def test_a_chain_becomes_the_steps_of_its_kinds_and_nothing_is_lost(
    line: str, steps: list[str | tuple[str, dict[str, str]]] | None
) -> None:
    made = imported(f"# X\n## Deploy\n```sh\n{line}\n```\n")
    done = [
        *(step for step in made.runbook.get("preflight", ()) if step["name"] != OPEN),
        *made.runbook.get("steps", ()),
        *(step for step in made.runbook.get("settle", ()) if "verify" not in step),
    ]
    if steps is None:
        assert len(done) == 1
        return
    for step, asked in zip(done, steps, strict=True):
        text, where = asked if isinstance(asked, tuple) else (asked, {})
        assert text in step or step.get("run") == text
        assert {key: step[key] for key in ("cwd", "on") if key in step and "run" in step} == where
    (found,) = made.reading.found
    assert found.text == line
    together = "commit" in steps  # and its push are told of as one
    assert len(found.places) >= len(steps) - together


def test_a_commit_and_its_push_in_one_line_are_both_made() -> None:
    made = imported(
        '# X\n```sh\ngit add a.txt && git commit -m "Fix" && git push origin main\n```\n'
    )
    commit, push = made.runbook["steps"]
    assert commit["commit"] == {"paths": ["a.txt"], "message": "Fix"}
    assert push["push"] == {}


def test_a_second_service_and_a_second_place_are_not_held_for_the_first() -> None:
    made = imported(
        "# X\n```sh\ngit push origin main\ngit push origin v2\n"
        "ssh d@w 'cd /srv/a && git pull'\nssh d@w 'cd /srv/b && git pull'\n"
        "sudo systemctl restart api\nsudo systemctl restart worker\n```\n"
    )
    text = written(made)
    assert "git push origin v2" in text
    assert "cd /srv/b && git pull" in text
    assert "systemctl restart worker" in text
    assert made.inventory["source"] == {"remote": "origin", "branch": "main", "directory": "/srv/a"}


def test_a_service_that_is_stopped_for_a_step_is_not_restarted_after_it_instead() -> None:
    made = imported(
        "# X\n## Deploy\n```sh\nsystemctl stop api\nbin/migrate --all\nsystemctl start api\n```\n"
    )
    runs = [step["run"] for step in made.runbook["steps"]]
    assert runs == ["systemctl stop api", "bin/migrate --all"]


def test_images_that_the_note_builds_as_it_starts_are_built() -> None:
    made = imported("# X\n```sh\ndocker compose up -d --build api\n```\n")
    assert made.inventory["service"]["build"] is True


def test_a_way_back_that_fits_several_steps_is_nobodys_in_particular() -> None:
    made = imported(
        "# X\n## Deploy\n```sh\npsql -f add.sql\npsql -f fill.sql\n```\n"
        "## Rollback\n```sh\npsql -f drop.sql\n```\n"
    )
    kept, *others = made.runbook["steps"]
    assert kept["undo"] == "psql -f drop.sql"
    assert all("undecided" in step["irreversible"] for step in others)


def test_a_way_back_is_run_once() -> None:
    made = imported(
        "# X\n## Deploy\n```sh\nkubectl apply -f config.yaml\n"
        "kubectl set image deployment/app app=app:2\n```\n"
        "## Rollback\n```sh\nkubectl rollout undo deployment/app\n```\n"
    )
    undos = [step.get("undo") for step in made.runbook["steps"]]
    assert undos == [None, "kubectl rollout undo deployment/app"]


def test_a_look_takes_nothing_back() -> None:
    made = imported(
        "# X\n## Deploy\n```sh\nalembic upgrade head\n```\n"
        "## Rollback\n```sh\nalembic current\n```\n"
    )
    assert "undecided" in made.runbook["steps"][-1]["irreversible"]


@pytest.mark.parametrize(
    "line",
    [
        "sudo systemctl restart nginx",
        "sudo systemctl restart app && ./flush",
    ],
)
def test_all_of_a_way_back_is_kept(line: str) -> None:
    made = imported(
        "# X\n## Deploy\n```sh\ngit push\ncd /srv/app && git pull\n"
        "sudo systemctl restart app\n```\n"
        f"## Rollback\n```sh\n{line}\n```\n"
    )
    assert line in written(made)


@pytest.mark.parametrize(
    ("line", "run"),
    [
        ("systemctl is-active app || echo down", "systemctl is-active app"),
        ("nc -z a.example.org 443 && echo open || echo 'not; open'", "nc -z a.example.org 443"),
        ("bin/smoke || true", "bin/smoke"),
        ("bin/smoke; echo $?", "bin/smoke"),
        ("bash -c 'bin/smoke || echo no'", "bash -c 'bin/smoke || echo no'"),
        ("bin/smoke || bin/other", "bin/smoke || bin/other"),
    ],
)
def test_what_is_only_said_behind_a_look_does_not_make_it_pass(line: str, run: str) -> None:
    assert the_check(line)["command"] == {"run": run}


@pytest.mark.parametrize(
    "line",
    [
        "kubectl set image deploy/app app=app:2 && kubectl rollout status deploy/app",
        "kubectl get cm app -o yaml | kubectl apply -f -",
    ],
)
def test_a_change_beside_a_look_is_a_step_and_no_check(line: str) -> None:
    made = imported(f"# X\n## Deploy\n```sh\n{line}\n```\n")
    assert "checks" not in made.inventory
    assert line in written(made)


def test_what_a_revert_does_besides_is_asked_for() -> None:
    made = imported(
        "# X\n## Deploy\n```sh\ngit push\n```\n"
        "## Rollback\n```sh\ngit revert 1234567 && git push && ./purge\n```\n"
    )
    assert any("besides" in each.ask for each in made.reading.questions)


@pytest.mark.parametrize(
    "sentence",
    [
        "It works like `systemctl restart api` does.",
        "1. Run `bin/a --x` and after that `bin/b --y`",
        "3. `bin/c`. To undo: `bin/undo-c`",
        "`curl https://a.example.org/health` muss OK liefern.",
        "Do **not** run `systemctl stop db` here.",
        "Schritt 2 zurück: `bin/downgrade`.",
    ],
)
def test_every_command_of_a_sentence_is_taken_or_named_as_not_taken(sentence: str) -> None:
    reading = imported(f"# X\n\n{sentence}\n").reading
    told = {*(each.text for each in reading.found), *(each.text for each in reading.rejected)}
    assert set(sentence.split("`")[1::2]) <= told


@pytest.mark.parametrize(
    ("line", "runs"),
    [
        ("pm2 restart api && pm2 logs api", "Restart"),
        ("docker compose up -d --build; docker compose logs -f", "Restart"),
        ("sudo systemctl restart api && journalctl -fu api", "Restart"),
        ("npm run build && tail -f build.log", "npm run build"),
        ("ssh web1 'pm2 restart api && pm2 logs'", "Restart"),
    ],
)
def test_a_look_without_end_takes_nothing_away_of_what_stands_before_it(
    line: str, runs: str
) -> None:
    made = imported(f"# X\n## Deploy\n```sh\n{line}\n```\n")
    steps = [*made.runbook.get("steps", ()), *made.runbook.get("settle", ())]
    assert [step.get("run", step["name"]) for step in steps] == [runs]
    (look,) = made.runbook["diagnose"]
    assert look["say"].startswith("Look at: ")
    assert runs not in look["say"]
    assert made.reading.found[0].text == line


@pytest.mark.parametrize(
    "line",
    [
        "pm2 restart api & pm2 logs",
        "pm2 logs; pm2 restart api",
        "for h in a b; do pm2 restart $h; pm2 logs; done",
    ],
)
def test_what_changes_something_and_cannot_be_cut_off_is_for_a_person(line: str) -> None:
    (step,) = imported(f"# X\n## Deploy\n```sh\n{line}\n```\n").runbook["steps"]
    assert step["manual"] == f"{line} (it never ends by itself)"


@pytest.mark.parametrize("line", ["pm2 logs api", "tail -f x | grep y", "docker compose logs -f"])
def test_what_only_looks_is_for_whoever_looks_into_a_failure(line: str) -> None:
    made = imported(f"# X\n## Deploy\n```sh\n{line}\nmake\n```\n")
    assert [step["name"] for step in made.runbook["steps"]] == ["make"]
    assert made.runbook["diagnose"]


def test_a_way_back_that_goes_to_its_machine_by_itself_does_so_from_here() -> None:
    back = "ssh web1 'cd /srv/a && git checkout HEAD~1 && pm2 restart a'"
    made = imported(f"## Deploy\n```sh\nssh web1 make\n```\n## Rollback\n```sh\n{back}\n```\n")
    (kept,) = (step for step in made.runbook["steps"] if step.get("undo") == back)
    assert "on" not in kept


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_request_that_changes_something_is_asked_how_it_is_taken_back(method: str) -> None:
    made = imported(f"# X\n## Verify\n```sh\ncurl -X {method} https://a.example.org/x\n```\n")
    assert any("(cleanup:)" in each.ask for each in made.reading.questions)


def test_a_body_of_which_the_note_says_nothing_is_sent_as_curl_sends_it() -> None:
    made = the_check("curl -d 'name=x' https://a.example.org/login")
    assert made["http"]["headers"] == {"Content-Type": "application/x-www-form-urlencoded"}


def test_a_restart_alone_is_asked_for_its_proof() -> None:
    made = imported("# X\n## Deploy\n```sh\nsudo systemctl restart api\n```\n")
    assert any("how is it proved" in each.ask for each in made.reading.questions)


def test_a_service_that_the_note_does_not_name_is_asked_for() -> None:
    made = imported("# X\n## Deploy\n```sh\ndocker compose restart\n```\n")
    assert any("which service is restarted" in each.ask for each in made.reading.questions)
