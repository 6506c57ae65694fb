"""A note that people follow by hand becomes a runbook that lints, line by line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backout.commands.import_report import import_report as told
from backout.documents.building import build
from backout.documents.draft import Built
from backout.documents.files import dumped, sound
from backout.documents.pieces import OPEN
from backout.documents.reading import read
from backout.project.project import TABLES
from backout.reports.document_text import import_text

NOTE = (Path(__file__).parent / "notes" / "incident.md").read_text()


def imported(text: str) -> Built:
    return sound(build(read(text, "docs/note.md")), TABLES)


@pytest.fixture(scope="module")
def incident() -> Built:
    return imported(NOTE)


def test_every_command_of_the_note_is_found_in_its_phase(incident: Built) -> None:
    assert [(f.phase, f.text.partition("\n")[0]) for f in incident.reading.found] == [
        ("commit", "git add src/bookings.js test/bookings.test.js"),
        ("commit", 'git commit -m "Save bookings through the ORM"'),
        ("push", "git push origin main"),
        ("restart", "docker compose restart"),
        ("restart", "heroku restart"),
        ("restart", "pm2 restart seats-api"),
        ("restart", "sudo systemctl restart seats-api"),
        ("verify", "bun run dev"),
        ("verify", "bun run check-booking.ts"),
        ("verify", "curl -X POST http://your-api-host/v1/bookings \\"),
        ("rollback", "git revert"),
    ]


def test_restarts_that_stand_for_each_other_become_one_and_a_question(incident: Built) -> None:
    assert incident.reading.backends == ("docker-compose", "pm2", "systemd", "heroku")
    assert [step["name"] for step in incident.runbook["settle"]] == ["Restart", "Prove it"]
    assert any("which of these" in question.ask for question in incident.reading.questions)
    assert incident.inventory["service"] == {"name": "seats-api", "backend": "docker-compose"}


def test_commit_and_push_keep_their_own_way_back(incident: Built) -> None:
    commit, push, by_hand = incident.runbook["steps"]
    assert commit["commit"]["paths"] == ["src/bookings.js", "test/bookings.test.js"]
    assert commit["commit"]["message"] == "Save bookings through the ORM"
    assert push["push"] == {}
    assert "bun run dev" in by_hand["manual"]


def test_a_request_becomes_a_check_whose_blanks_are_bound(incident: Built) -> None:
    check = incident.inventory["checks"]["bookings"]
    assert check["http"]["method"] == "POST"
    assert check["http"]["headers"] == {
        "X-App-Id": "{{ secrets.app_id }}",
        "X-Session": "{{ secrets.user_session_token }}",
    }
    assert check["http"]["json"]["seat"] == "{{ vars.seat_id }}"
    assert incident.inventory["secrets"]["app_id"] == {"env": "APP_ID"}
    [(_, probe)] = incident.reading.probes
    assert (probe.method, probe.told, bool(probe.body)) == ("POST", 3, True)


def test_what_is_no_command_is_refused_with_its_reason(incident: Built) -> None:
    reasons = {r.line: r.reason for r in incident.reading.rejected}
    assert reasons[8] == "sql, not a shell command"
    assert reasons[15] == "javascript, not a shell command"


def test_a_revert_without_a_commit_is_a_question(incident: Built) -> None:
    assert any("of which commit" in question.ask for question in incident.reading.questions)


def test_what_is_open_refuses_the_run(incident: Built) -> None:
    first = incident.runbook["preflight"][0]
    assert first["name"] == OPEN
    assert first["run"].endswith("exit 1\n")
    assert "docs/note.md:" in first["run"]


def test_every_line_goes_somewhere_or_nowhere_and_says_so(incident: Built) -> None:
    places = {row.text.partition("\n")[0]: row.into for row in told(incident).found}
    assert places["git push origin main"] == "steps[1]"
    assert places["docker compose restart"] == "settle[0]"
    assert places["heroku restart"] is None
    assert places["bun run check-booking.ts"] == "checks.bun-run-check"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("rm -rf /srv/app/cache", "approve"),
        ("nano config/app.yaml", "manual"),
        ("npm run dev", "manual"),
        ("npm run migrate", "undecided"),
        ("./deploy <sha> --now", "{{ params.sha }}"),
        ("docker inspect -f '{{.State.Status}}' app", "'{''{.State"),
    ],
)
def test_what_must_not_run_unattended_is_not_run(line: str, told: str) -> None:
    made = imported(f"# Deploy\n\n```sh\n{line}\n```\n")
    assert told in dumped(made.runbook) + dumped(made.inventory)


def test_the_rollbacks_command_becomes_the_undo_of_its_step() -> None:
    made = imported(
        "# Deploy\n```sh\nnpm run migrate\n```\n## Rollback\n```sh\nnpm run migrate:undo\n"
        "git checkout <previous-commit>\n```\n"
    )
    [step] = [s for s in made.runbook["steps"] if s.get("run") == "npm run migrate"]
    assert step["undo"] == "npm run migrate:undo"
    assert "{{ release.previous }}" in dumped(made.runbook)


def test_what_makes_something_is_no_check_wherever_it_stands() -> None:
    made = imported("# X\n## Test\n```sh\nnpm ci\nnpm test\n```\n")
    assert list(made.inventory["checks"]) == ["npm-test"]
    assert [step["run"] for step in made.runbook["steps"]] == ["npm ci"]


def test_a_note_is_imported_linted_planned_and_followed(tmp_path: Path) -> None:
    note = tmp_path / "docs" / "fix.md"
    note.parent.mkdir()
    note.write_text(NOTE)
    (tmp_path / "tasks.py").write_text("from backout.tasks import ns\n")

    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "backout", *words]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = typed("document.import", "docs/fix.md")
    assert done.returncode == 0, done.stderr
    assert "git push origin main" in done.stdout
    assert note.read_text() == NOTE
    assert typed("lint").returncode == 0
    planned = typed("plan", "--runbook", "fix", "--target", "fix", "--offline")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "What the note leaves open is decided" in planned.stdout

    note.write_text(NOTE.replace("docker compose restart", "docker compose up -d"))
    drifted = typed("lint")
    assert drifted.returncode == 2
    assert "docs/fix.md:32 said 'docker compose restart'" in drifted.stderr
    assert "now says 'docker compose up -d': step 'Restart' no longer follows" in drifted.stderr


def test_a_note_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "backout", "document.import", "none.md"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the note cannot be read" in done.stderr


@pytest.mark.parametrize("width", [80, 200])
def test_the_note_stands_on_the_left_and_what_became_of_it_on_the_right(
    incident: Built, width: int
) -> None:
    table = import_text(told(incident), width).partition("\n\n")[0].split("\n")
    assert max(map(len, table)) <= width
    column = next(row for row in table if "git push origin main" in row).index("push ->")
    rows = {row[7 : column - 2].strip(): row[column:] for row in table}
    assert rows["docker compose restart"].startswith("restart -> settle[0]")
    assert rows["heroku restart"].startswith("restart -> not taken")
    text = " ".join(row[7 : column - 2].strip() for row in table)
    assert '"seat": "SEAT_ID"' in text, "a command is there with all its lines"
    sql = [row[column:] for row in table if row.lstrip().startswith(("8 ", "9 "))]
    assert sql[0].startswith("not taken: sql")


SESSION = """\
# Deploy

```sh
cd app
ssh deploy@web1.lan
cd /srv/shop
sudo -u shop git pull
bin/warm
exit
bin/announce
ssh deploy@web2.lan "bin/clear"
```

## Rollback

```sh
git checkout <previous-commit>
```
"""


def test_a_session_on_a_machine_says_where_its_commands_run_until_it_ends() -> None:
    made = imported(SESSION)
    steps = {step["name"]: (step.get("on"), step.get("cwd")) for step in made.runbook["steps"]}
    assert steps == {
        "sudo -u shop git pull": ("web1.lan", "/srv/shop"),
        "bin/warm": ("web1.lan", "/srv/shop"),
        "bin/announce": (None, None),
        'ssh deploy@web2.lan "bin/clear"': (None, None),
    }
    assert list(made.inventory["hosts"]) == ["web1.lan", "web2.lan"]
    assert made.runbook["steps"][0]["undo"] == "git checkout {{ release.previous }}"


def test_what_a_request_must_answer_is_read_from_the_words_behind_it_and_the_output() -> None:
    note = (
        "# X\n## Test\n```sh\n"
        "curl -X POST https://a.example.org/orders -d '{}'\n# should return 201\n"
        "curl https://a.example.org/other\n```\nYou get:\n```\nHTTP/1.1 204 No Content\n```\n"
    )
    checks = imported(note).inventory["checks"]
    assert checks["orders"]["expect"] == ["status == 201"]
    assert checks["other"]["expect"] == ["status == 204"]


def test_a_service_is_called_as_its_own_backend_calls_it() -> None:
    note = "# X\n```sh\nsudo supervisorctl restart worker:*\nsudo service nginx reload\n```\n"
    assert imported(note).inventory["service"] == {"name": "worker:*", "backend": "supervisor"}


@pytest.mark.parametrize(
    ("commands", "steps"),
    [
        (("git add -A", "git commit -m Fix", "git push"), ["Commit", "Push"]),
        (("git commit -am Fix",), ["Commit"]),
        (("git push",), ["Push"]),
        (("ssh web1", "git pull"), ["Update the code"]),
        (
            ("git commit -am Fix", "git push --force origin main"),
            ["Commit", "Approve: git push --force origin main", "git push --force origin main"],
        ),
    ],
    ids=["all", "commit", "push", "elsewhere", "by force"],
)
def test_no_step_is_lost_where_the_note_leaves_the_remote_or_the_directory_out(
    commands: tuple[str, ...], steps: list[str]
) -> None:
    made = sound(build(read("\n".join(("```sh", *commands, "```\n")), "note.md")), TABLES)
    assert [step["name"] for step in made.runbook["steps"]] == steps
    assert made.inventory["source"]


def test_a_check_that_cannot_be_written_down_is_told_as_its_command() -> None:
    text = '```sh\ncurl -X POST "http://localhost:3000/x?id=<ID>" -d @body.json\n```\n'
    made = sound(build(read(text, "note.md")), TABLES)
    (look,) = (step["manual"] for step in made.runbook["steps"] if "manual" in step)
    assert look.startswith("look by hand: curl")
    assert "{" not in look
