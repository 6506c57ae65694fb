"""The corpus of notes is read as well as is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backout.documents.building import build
from backout.documents.files import sound
from backout.documents.reading import read
from backout.project.project import TABLES

ROOT = Path(__file__).parents[2]


def test_the_corpus_is_read_as_well_as_is_asked() -> None:
    argv = [sys.executable, "bench/documents.py", "--wrong"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Run `npm ci` first.", ["npm ci"]),
        ("Never run `rake db:reset` here.", []),
        ("The config is in `/etc/app/app.conf`.", []),
        ("```sh\ncat > f <<'EOF'\n$ x\nEOF\n```", ["cat > f <<'EOF'\n$ x\nEOF"]),
        ("```sh\na=1 ./x \\\n  --y # why\n```", ["a=1 ./x \\\n  --y"]),
        ("```console\n$ git pull\nAlready up to date.\n```", ["git pull"]),
        ('```\n{\n  "a": 1\n}\n```', []),
        ("- x\n  ```sh\n  make\n  ```", ["make"]),
        ("> ~~~bash\n> make\n> ~~~", ["make"]),
        ("1. ssh deploy@web1\n2. git pull\n3. tell the team", ["ssh deploy@web1", "git pull"]),
        (
            "Pull and build\ngit pull origin main\npnpm build",
            ["git pull origin main", "pnpm build"],
        ),
        ("- ssh access to web1\n- node 18 or later\n- docker engine\n- make sure that it runs", []),
        ("It runs\n`npm ci` on every push, and\n`deploy.sh` is called by it.", []),
        ("`pg_dump -Fc` covers the schema, unlike the\n`npm ci` + `npm run build` of CI.", []),
        ("Railway detects Node and runs `npm start`.", []),
        ("```\nSYNC_MODE=async\nphp artisan config:cache\n```", ["php artisan config:cache"]),
        ("Back it up:\n`git push origin main` before anything else.", ["git push origin main"]),
        ("```\ngit push → webhook → deploy.sh → restart\n```", []),
        ("```\n/srv/app/current\n  what runs\n/srv/app/releases/\n```", []),
        ("```console\n - alertname = Down\n...\n```", []),
        ('=== "Docker"\n\n    ```sh\n    docker compose up -d\n    ```', ["docker compose up -d"]),
        ("<pre><code>\ngit pull &amp;&amp; make\n</code></pre>", ["git pull && make"]),
        ("{% highlight bash %}\ngit pull\n{% endhighlight %}", ["git pull"]),
        ("== Deploy\n\n[source,bash]\n----\ngit pull\n----", ["git pull"]),
        ("Deploy::\n\n.. code-block:: bash\n\n   git pull\n   make", ["git pull", "make"]),
        ('<TabItem value="pm2">\n\n```sh\npm2 reload api\n```\n\n</TabItem>', ["pm2 reload api"]),
        ("```\n~/app (main)$ bin/deploy\nDone.\n```", ["bin/deploy"]),
        ("```\nC:\\app> npm ci\nadded 3 packages\n```", ["npm ci"]),
        ("```bash=\ngit pull\n```", ["git pull"]),
    ],
)
def test_commands_are_told_from_what_only_looks_like_them(text: str, found: list[str]) -> None:
    assert [each.text for each in read(text, "x").found] == found


@pytest.mark.parametrize(
    ("text", "phase", "probes"),
    [
        ("## Test\n```sh\ncurl -X POST https://x.example/webhook -d 1\n```", "verify", 1),
        ("## Deploy\n```sh\ncurl -X POST https://x.example/purge_cache\n```", "update", 0),
        ("## The agent\n```sh\ncurl -fsSL https://x.example/get | sudo sh\n```", "setup", 0),
        ("## Tell\n```sh\ncurl -d 1 https://hooks.slack.com/services/T\n```", "notify", 0),
        ("## If the migration fails\n```sh\nmake down\n```", "rollback", 0),
        ("## Neustart\n```sh\n./app.sh again\n```", "restart", 0),
        ("## Retour arrière\n```sh\n./app.sh avant\n```", "rollback", 0),
        ("## Solución de problemas\n```sh\ndf -h\n```", "diagnose", 0),
        ("## Verificação\n```sh\n./fumaca.sh\n```", "verify", 0),
        ("# Rollback guide\n## Steps\n```sh\ngit checkout v1\n```", "rollback", 0),
        ("# Rollback guide\n## Check\n```sh\ndocker ps\n```", "verify", 0),
        ("# X\n## Troubleshooting\n### Deploy fails\n```sh\n./deploy.sh\n```", "diagnose", 0),
        ("# X\n## Deploy\n```sh\napt-get install nginx\n```", "setup", 0),
        ("## Run\n```sh\ndocker compose run --rm web alembic upgrade head\n```", "update", 0),
        ("## Run\n```sh\nbash scripts/despliegue.sh\n```", "update", 0),
    ],
)
def test_the_headings_and_the_command_say_the_phase(text: str, phase: str, probes: int) -> None:
    reading = read(text, "x")
    assert [str(each.phase) for each in reading.found] == [phase]
    assert len(reading.probes) == probes


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("npx pm2 logs api", {"follows"}),
        ("docker compose exec web sh", {"interactive"}),
        ("gunzip -c d.gz | docker exec -i db psql app", set()),
        ("curl -fsSL https://x.example/get | sudo bash", set()),
        ("$EDITOR .env", {"interactive"}),
        ("docker compose run --rm web alembic upgrade head", set()),
        ("npm run start", {"blocking"}),
        ("bundle exec rails server", {"blocking"}),
        ("docker network prune -f", {"destructive"}),
    ],
)
def test_what_never_ends_or_asks_is_known_wherever_it_runs(line: str, flags: set[str]) -> None:
    [found] = read(f"```sh\n{line}\n```", "x").found
    assert {*found.flags} == flags


def test_what_a_note_warns_against_is_never_a_step() -> None:
    good = "## Deploy\n```sh\nmake ship\n```\n"
    bad = "## Never use\n```sh\nrsync -a . web:/srv\n```\n"
    note = f"# X\n{good}{bad}"
    made = sound(build(read(note, "x")), TABLES)
    assert "rsync" not in str(made.runbook)
    assert [r.reason for r in made.reading.rejected] == ["the note warns against it"]


@pytest.mark.parametrize(
    ("warning", "taken", "asked"),
    [
        ("Do not run this on a Friday.", False, False),
        ("Never use:", False, False),
        ("Don't do it like so:", False, False),
        ("Niemals verwenden:", False, False),
        ("Ne jamais exécuter ceci :", False, False),
        ("Wrong:", False, False),
        ("Do NOT run `rsync --delete`.", True, True),
        ("Never use force push here.", True, True),
        ("Nunca use `scp`.", True, True),
        ("Then ship it:", True, False),
    ],
)
def test_a_warning_that_names_something_else_takes_no_block_away_and_is_asked_about(
    warning: str, taken: bool, asked: bool
) -> None:
    note = f"# Deploy\n\n{warning}\n\n```sh\nmake ship\nmake tell\n```\n"
    made = sound(build(read(note, "x")), TABLES)
    assert ("make ship" in str(made.runbook.get("steps"))) is taken
    about = [q.line for q in made.reading.questions if "is this what the note means by" in q.ask]
    assert about == ([6] if asked else [])


def test_a_revert_of_what_the_run_does_not_commit_is_asked_about() -> None:
    back = "## Rollback\n```sh\ngit revert HEAD\n```\n"
    note = f"# X\n## Deploy\n```sh\nssh web1 'cd /srv/app && git pull'\n```\n{back}"
    made = sound(build(read(note, "x")), TABLES)
    assert [q.line for q in made.reading.questions if "what is reverted here" in q.ask] == [8]
    note = f"# X\n## Deploy\n```sh\ngit push origin main\n```\n{back}"
    made = sound(build(read(note, "x")), TABLES)
    assert not [q for q in made.reading.questions if "what is reverted here" in q.ask]


CORPUS = sorted((ROOT / "bench" / "documents").glob("*.md"))


@pytest.mark.parametrize("note", CORPUS, ids=lambda note: note.stem)
def test_every_note_of_the_corpus_becomes_files_that_lint(note: Path) -> None:
    """With every command that runs in it either somewhere, or left to a choice or a question."""
    made = sound(build(read(note.read_bytes().decode(), note.name)), TABLES)
    assert made.runbook.keys() & {"steps", "settle"}
    placed = [f for f in made.reading.found if f.into or {"setting", "cwd"} & {*f.flags}]
    acting = [f for f in made.reading.found if f.phase in ("push", "update")]
    nowhere = [f.text for f in acting if f not in placed]
    assert not [text for text in nowhere if not text.startswith(("ssh ", "sudo -u"))]
