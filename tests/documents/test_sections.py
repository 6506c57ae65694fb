"""Where a line stands says what it is for: a way back in any tongue, what is done about trouble,
commands for another day. And what it does says what it can not be: no check makes something."""

from __future__ import annotations

import pytest

from backout.documents.building import build
from backout.documents.draft import Built
from backout.documents.files import sound
from backout.documents.reading import read
from backout.project.project import TABLES


def imported(text: str) -> Built:
    return sound(build(read(text, "docs/note.md")), TABLES)


def phase_of(command: str, *, under: str, title: str = "Orders", says: str = "") -> str:
    """Of a command in a fence under a heading, beneath a sentence."""
    text = f"# {title}\n\n## {under}\n\n{says}\n\n```bash\n{command}\n```\n"
    (found,) = read(text, "note.md").found
    return found.phase


def forward(built: Built) -> list[str]:
    """What a run does by itself on its way forward."""
    parts = ("preflight", "steps", "settle", "finally")
    steps = [step for part in parts for step in built.runbook.get(part, ())]
    checks = [check.get("command", {}) for check in built.inventory.get("checks", {}).values()]
    return [str(each["run"]) for each in (*steps, *checks) if each.get("run", ":") != ":"]


@pytest.mark.parametrize(
    "heading",
    [
        "Restore from a backup",
        "Restoring the database from last night's dump",
        "Откат",
        "Срочное восстановление",
        "Вернуться на предыдущую версию",
        "Відкат релізу",
        "Ripristino",
        "Wycofanie wdrożenia",
        "Przywracanie",
        "Vorige versie terugzetten",
        "Geri alma",
        "Kembalikan versi lama",
        "Khôi phục",
        "回滚步骤",
        "还原数据库",
        "ロールバック手順",
        "롤백",
    ],
)
def test_what_stands_under_a_way_back_is_never_done_on_the_way_forward(heading: str) -> None:
    assert phase_of("bin/cool orders", under=heading) == "rollback"
    note = (
        f"# Orders\n\n## Deploy\n\n```sh\nbin/warm\n```\n\n## {heading}\n\n```sh\nbin/cool\n```\n"
    )
    assert forward(imported(note)) == [r for r in forward(imported(note)) if "cool" not in r]


@pytest.mark.parametrize(
    "heading",
    [
        "Деплой и откат",
        "Резервное копирование и восстановление",
        "部署与回滚",
        "Deploy and rollback",
        "デプロイとロールバック",
    ],
)
def test_a_heading_that_speaks_of_both_ways_is_none_back(heading: str) -> None:
    assert phase_of("bin/warm orders", under=heading) != "rollback"


@pytest.mark.parametrize(
    "heading",
    [
        "Common error",
        "Known problems",
        "Problems and solutions",
        "Basic recovery",
        "Частые проблемы",
        "Устранение неполадок",
        "Решение частых проблем",
        "Можливі проблеми",
        "Problemi comuni",
        "Sorun giderme",
        "Masalah umum",
        "常见问题",
        "故障排查",
        "トラブルシューティング",
        "문제 해결",
        "Useful commands",
        "Полезные команды",
        "常用命令",
    ],
)
@pytest.mark.parametrize("command", ["systemctl stop orders", "rm -rf cache", "chmod -R 755 data"])
def test_a_remedy_and_a_command_for_another_day_are_no_steps(heading: str, command: str) -> None:
    assert phase_of(command, under=heading) == "diagnose"
    note = (
        f"# Orders\n\n## Deploy\n\n```sh\nbin/warm\n```\n\n## {heading}\n\n```sh\n{command}\n```\n"
    )
    assert not any(command in run for run in forward(imported(note)))


def test_a_note_that_is_nothing_but_useful_commands_is_still_read() -> None:
    note = "# Cheat sheet\n\n```sh\nnpm run build\nsystemctl restart orders\n```\n"
    assert [found.phase for found in read(note, "note.md").found] == ["build", "restart"]


def test_a_remedy_in_a_note_about_the_way_back_is_not_on_it() -> None:
    note = (
        "# Rollback\n\n## Troubleshooting\n\n### It stays slow\n\n```sh\nredis-cli FLUSHALL\n```\n"
    )
    built = imported(note)
    assert "FLUSHALL" not in str(built.runbook.get("steps", ""))
    assert [found.phase for found in built.reading.found] == ["diagnose"]


@pytest.mark.parametrize(
    ("heading", "phase"),
    [
        ("Проверка", "verify"),
        ("Перевірка після деплою", "verify"),
        ("Verifica", "verify"),
        ("Doğrulama", "verify"),
        ("验证", "verify"),
        ("動作確認", "verify"),
        ("확인", "verify"),
        ("Kiểm tra", "verify"),
        ("Сборка", "build"),
        ("构建", "build"),
        ("Перезапуск", "restart"),
        ("重启", "restart"),
        ("再起動", "restart"),
        ("Обновление", "update"),
        ("部署", "update"),
    ],
)
def test_headings_of_many_tongues_say_what_a_script_is_for(heading: str, phase: str) -> None:
    assert phase_of("bin/orders now", under=heading) == phase


@pytest.mark.parametrize(
    "says",
    [
        "Не запускайте это:",
        "Jangan jalankan:",
        "Non eseguire:",
        "切勿执行:",
        "Nooit gebruiken:",
    ],
)
def test_what_a_note_warns_against_in_another_tongue_is_no_step(says: str) -> None:
    note = f"# Orders\n\n## Deploy\n\n{says}\n\n```sh\nbin/wipe\n```\n"
    assert forward(imported(note)) == []


@pytest.mark.parametrize(
    "command",
    [
        "mkdir -p /srv/orders/logs",
        "useradd -r orders",
        "npx playwright install chromium",
        "pm2 startup",
        "git clone https://git.example.org/orders.git",
        "cf target -o orders -s prod",
    ],
)
@pytest.mark.parametrize("says", ["Make sure that it is there:", "Check:", ""])
def test_what_makes_something_is_no_check(command: str, says: str) -> None:
    built = imported(f"# Orders\n\n## Verify\n\n{says}\n\n```sh\n{command}\n```\n")
    assert "checks" not in built.inventory


def test_a_script_behind_a_check_is_none_because_of_that() -> None:
    note = "# Orders\n\n## Timer\n\n```sh\nsystemctl status timer\nbin/remove-timer\n```\n"
    built = imported(note)
    assert [check["command"]["run"] for check in built.inventory["checks"].values()] == [
        "systemctl status timer"
    ]
    assert "bin/remove-timer" in forward(built)


@pytest.mark.parametrize(
    "command",
    [
        "mkdir -p {data,logs}",
        "chown app: /var/log/orders",
        "rm -f logs/old.txt",
        "node -e 'console.log(1)'",
        "cp -r app app.rollback",
        "docker tag orders:latest orders:rollback",
    ],
)
def test_a_name_in_a_path_says_nothing_of_what_is_done(command: str) -> None:
    assert phase_of(command, under="Steps") not in ("diagnose", "rollback")


def test_what_only_shows_a_log_proves_nothing() -> None:
    note = (
        "# Orders\n\n## Verify\n\n```sh\ntail -n 50 orders.log\njournalctl -u orders -n 20\n```\n"
    )
    built = imported(note)
    assert "checks" not in built.inventory
    assert "journalctl -u orders" in built.runbook["diagnose"][0]["say"]


@pytest.mark.parametrize(
    "lines", ["nginx -t && systemctl reload nginx", "sudo nginx -t\nsudo systemctl reload nginx"]
)
def test_a_configuration_is_looked_at_before_it_is_read(lines: str) -> None:
    built = imported(f"# Proxy\n\n## Deploy\n\n```sh\ncp proxy.conf /etc/nginx/\n{lines}\n```\n")
    look = built.runbook["steps"][-1]
    assert look["run"].endswith("nginx -t")
    assert look["readonly"]
    assert [step for step in built.runbook["settle"] if "restart" in step]


def test_a_schema_that_is_taken_down_whole_is_no_way_back_of_its_migration() -> None:
    note = "# Orders\n\n## Deploy\n\n```sh\nalembic upgrade head\n```\n\n## Reset\n\n```sh\n"
    built = imported(f"{note}alembic downgrade base\n```\n")
    assert all("downgrade base" not in str(step.get("undo", "")) for step in built.runbook["steps"])
    assert any(
        step.get("irreversible") and "approve" not in step for step in built.runbook["steps"]
    )


@pytest.mark.parametrize(
    "line",
    [
        "server/            ← the backend",
        "0 12 * * * /usr/bin/certbot renew --quiet",
        "Environment=PORT=8080",
        "gunicorn>=21.2.0",
        "vendor/",
        r".venv\Scripts\activate",
        r"vendor\bin\lint.bat --test",
    ],
)
@pytest.mark.parametrize("language", ["", "bash"])
def test_what_is_no_line_of_a_shell_is_not_taken(line: str, language: str) -> None:
    note = f"# Orders\n\n## Deploy\n\n```{language}\nnpm ci\nnpm run build\n{line}\n```\n"
    reading = read(note, "note.md")
    assert [found.text for found in reading.found] == ["npm ci", "npm run build"]


@pytest.mark.parametrize("line", [r"\curl -sSL https://get.example.org | bash", "user=web bin/run"])
def test_what_looks_a_little_like_it_is_taken(line: str) -> None:
    assert phase_of(line, under="Deploy")


def test_what_a_platform_runs_by_itself_is_no_step() -> None:
    note = (
        "# Orders\n\n## Deploy\n\n- Build Command: `npm run build`\n- Start Command: `npm start`\n"
    )
    reading = read(note, "note.md")
    assert not reading.found
    assert len(reading.rejected) == 2


def test_a_command_alone_in_an_item_is_told_by_the_item_that_it_is_below() -> None:
    note = "# Orders\n\n## Timer\n\n- If it goes wrong, roll back:\n  - `bin/orders old`\n"
    (found,) = read(note, "note.md").found
    assert found.phase == "rollback"


@pytest.mark.parametrize(
    "said", ["or", "oder", "или", "або", "oppure", "lub", "veya", "atau", "或", "または", "또는"]
)
def test_what_stands_for_the_command_before_it_is_not_done_too(said: str) -> None:
    note = f"# Orders\n\n## Deploy\n\n```sh\nbin/install-apt\n# {said}\nbin/install-yum\n```\n"
    built = imported(note)
    assert forward(built)[1:] == ["bin/install-apt"]
    assert any("which of these" in question.ask for question in built.reading.questions)


@pytest.mark.parametrize("word", ["Option", "Вариант", "Способ", "Opzione", "方案", "방법"])
def test_of_titles_that_stand_for_each_other_one_is_done(word: str) -> None:
    ways = "".join(f"\n### {word} {at}\n\n```sh\nbin/ship {at}\n```\n" for at in (1, 2))
    assert forward(imported(f"# Orders\n\n## Deploy\n{ways}"))[1:] == ["bin/ship 1"]


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        ("docker compose exec web bin/migrate", True),
        ("docker exec orders bin/migrate", True),
        ("bin/migrate", False),
    ],
)
def test_what_is_done_in_what_was_restarted_before_is_asked(command: str, asked: bool) -> None:
    note = f"# Orders\n\n## Deploy\n\n```sh\ndocker compose up -d\n{command}\n```\n"
    questions = [each.ask for each in imported(note).reading.questions]
    assert asked is any("in what it has restarted" in ask for ask in questions)


@pytest.mark.parametrize("line", ['curl -X POST "http://localhost/a" ^', '-H "Accept: a/b"'])
def test_what_only_another_shell_joins_is_not_taken(line: str) -> None:
    note = f"# Orders\n\n## Deploy\n\n```bash\nnpm ci\n{line}\n```\n"
    assert [found.text for found in read(note, "note.md").found] == ["npm ci"]


def test_an_emergency_is_no_part_of_the_deploy() -> None:
    assert phase_of("docker compose stop cache", under="Emergency: stop the traffic") == "diagnose"


def test_a_name_in_a_list_of_files_is_no_command_though_it_is_one_elsewhere() -> None:
    listed = "app/\nconfig/\nartisan\ncomposer.json\n.env.example"
    assert not read(f"# Orders\n\n## Upload\n\n```text\n{listed}\n```\n", "note.md").found
    alone = read("# Orders\n\n## Test\n\n```\npytest\n```\n", "note.md")
    assert [found.text for found in alone.found] == ["pytest"]
