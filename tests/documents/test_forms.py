"""Workflows, playbooks, Makefiles and deploy.rb are read as notes are: the same thing is taken,
and every other line is named with why not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backout.documents.building import build
from backout.documents.files import sound
from backout.documents.nouns import Reading
from backout.documents.reading import read
from backout.project.project import TABLES

WORKFLOW = """\
name: Ship it
on: [push]
env: {NODE_ENV: production}
jobs:
  lint:
    steps:
      - run: npm run lint
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Build
        working-directory: web
        run: |
          npm ci
          npm run build
      - name: Restart
        uses: appleboy/ssh-action@v1
        with:
          host: ${{ secrets.WEB_HOST }}
          script: |
            cd /srv/web
            pm2 reload web
      - name: Only sometimes
        if: github.ref == 'refs/heads/main'
        run: ./sometimes.sh
      - run: echo "${{ toJSON(github) }}"
      - run: curl -fsS "https://${{ vars.SITE }}/health"
      - name: Back
        if: failure()
        run: ./rollback.sh
"""
PLAYBOOK = """\
- name: Deploy the site
  hosts: web
  tasks:
    - name: Get the code
      git: {repo: x, dest: /srv/site}
    - name: Install
      command: npm ci
      args:
        chdir: /srv/site
    - name: Migrate
      shell: |
        ./migrate {{ release }}
        ./warm
    - name: Sometimes
      command: ./sometimes
      when: x is defined
    - block:
        - ansible.builtin.command:
            cmd: systemctl restart site
      rescue:
        - command: ./back
    - command: echo {{ x | default('y') }}
"""
MAKEFILE = """\
APP = site
.PHONY: deploy test build rollback
test:
\tnpm test
build: check
\t@npm run build -- $(APP)
check:
\tnpm run lint
deploy: build
\trsync -a dist/ $(HOST):/srv/$(APP) \\
\t  --delete-after
\t-rm old
\techo $@ $$HOME
rollback:
\tssh $(HOST) ./back
"""
RECIPES = """\
lock '3.18'
set :application, 'site'
namespace :deploy do
  desc 'Restart the site'
  task :restart do
    on roles(:web) do
      within '/srv/site' do
        execute :sudo, :systemctl, :restart, 'site'
        execute "touch #{release_path}/tmp/restart.txt"
      end
      if test('[ -f x ]')
        execute 'rm x'
      end
    end
  end
  after :published, :restart
end
"""


def told(reading: Reading) -> list[tuple[str, str]]:
    return [(str(each.phase), each.text) for each in reading.found]


def reasons(reading: Reading) -> dict[int, str]:
    return {each.line: each.reason for each in reading.rejected}


def test_the_job_that_deploys_is_taken_and_the_rest_is_named() -> None:
    reading = read(WORKFLOW, ".github/workflows/ship.yml")
    assert told(reading) == [
        ("build", "npm ci"),
        ("build", "npm run build"),
        ("restart", "cd /srv/web"),
        ("restart", "pm2 reload web"),
        ("verify", 'curl -fsS "https://${{ vars.SITE }}/health"'),
        ("rollback", "./rollback.sh"),
    ]
    assert [(each.cwd, each.host) for each in reading.found][1:3] == [
        ("web", ""),
        ("/srv/web", "${{ secrets.WEB_HOST }}"),
    ]
    why = reasons(reading)
    assert why[7] == "job lint: not the one that deploys"
    assert why[11] == "uses actions/checkout@v4: no command of a shell"
    assert "runs only if github.ref" in why[26]
    assert "GitHub alone" in why[27]
    assert why[3] == "GitHub Actions' own: nothing of a shell"
    said = {n for each in reading.found for n in range(each.line, each.last + 1)} | why.keys()
    assert said == {n for n, line in enumerate(reading.lines, 1) if line.strip()}


def test_secrets_of_a_workflow_are_secrets_by_reference() -> None:
    text = WORKFLOW.replace("npm ci\n", "npm ci --token ${{ secrets.REGISTRY }}\n")
    made = sound(build(read(text, "ship.yml")), TABLES)
    assert made.inventory["secrets"]["registry"] == {"env": "REGISTRY"}
    assert "npm ci --token {{ secrets.registry }}" in str(made.runbook)
    assert "${{" not in str([step.get("run") for step in made.runbook["steps"]])


def test_shell_and_command_tasks_of_a_playbook_are_taken() -> None:
    reading = read(PLAYBOOK, "site.yml")
    assert told(reading) == [
        ("build", "npm ci"),
        ("update", "./migrate {{ release }}"),
        ("update", "./warm"),
        ("restart", "systemctl restart site"),
        ("rollback", "./back"),
    ]
    assert (reading.found[0].cwd, reading.found[0].host) == ("/srv/site", "web")
    why = reasons(reading)
    assert why[5] == "module git: no command of a shell"
    assert why[15] == "when: Ansible alone evaluates it"
    assert "Ansible alone evaluates" in why[22]


def test_a_makefiles_deploy_target_and_what_it_needs_are_taken() -> None:
    reading = read(MAKEFILE, "Makefile")
    assert told(reading) == [
        ("verify", "npm run lint"),
        ("build", "npm run build -- site"),
        ("update", "rsync -a dist/ ${HOST}:/srv/site \\\n  --delete-after"),
        ("rollback", "ssh ${HOST} ./back"),
    ]
    why = reasons(reading)
    assert why[4] == "target test: not part of the deploy"
    assert why[12] == "make goes on when it fails: say so in the step"
    assert why[13] == "$@: make alone expands it"


def test_what_capistrano_executes_is_taken() -> None:
    reading = read(RECIPES, "config/deploy.rb")
    assert [each.text for each in reading.found] == [
        "sudo systemctl restart site",
        "touch <release_path>/tmp/restart.txt",
    ]
    assert {(each.cwd, each.host, each.name) for each in reading.found} == {
        ("/srv/site", "all", "Restart the site")
    }
    why = reasons(reading)
    assert why[2] == "Capistrano's own: nothing of a shell"
    assert why[12] == "Ruby alone evaluates it"


@pytest.mark.parametrize(
    ("info", "name", "cwd", "flags", "reason"),
    [
        ('sh {"name":"ship","cwd":"/srv"}', "ship", "/srv", (), ""),
        ("sh { name=ship interactive=true }", "ship", "", ("interactive",), ""),
        ("sh {name=dev background=true}", "dev", "", ("blocking",), ""),
        ("sh {ignore=true}", "", "", (), "its fence says ignore"),
        ('sh {"excludeFromRunAll":"true"}', "", "", (), "its fence leaves it out of a whole run"),
        ("sh {interpreter=python3}", "", "", (), "run by python3, not by a shell"),
    ],
)
def test_what_runme_says_of_a_fence_is_heard(
    info: str, name: str, cwd: str, flags: tuple[str, ...], reason: str
) -> None:
    reading = read(f"```{info}\nmake ship\n```\n", "x.md")
    if reason:
        assert [each.reason for each in reading.rejected] == [reason]
    else:
        [found] = reading.found
        assert (found.name, found.cwd, found.flags) == (name, cwd, flags)


@pytest.mark.parametrize("text", [WORKFLOW, PLAYBOOK])
def test_an_alias_of_yaml_is_never_followed(text: str) -> None:
    bomb = "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]\n" for n in range(9)
    )
    for hostile in (f"{bomb}jobs: *a8\n", text.replace("npm ci", "&x npm ci") + "# *x\n"):
        reading = read(hostile, "x.yml")
        assert len(reading.rejected) + len(reading.found) <= 2 * len(reading.lines)
    reading = read(f"{bomb}jobs: *a8\n", "x.yml")
    assert not reading.found
    assert "alias" in reading.rejected[0].reason


SIGNS = [
    "- ",
    "  ",
    "run: ",
    "|",
    "jobs:",
    "deploy:",
    "steps:",
    "{{ x }}",
    "${{",
    "}}",
    "hosts: web",
    "tasks:",
    "shell: ",
    "make",
    "execute ",
    ":x",
    '"',
    "'",
    "#{",
    " do",
    "end",
    "\\",
    "$(",
    ")",
    "&a ",
    "*a",
    "\x00",
    "\u202e",
    "[",
    "]",
    "!!python/object:os ",
    "---",
]
PIECES = st.lists(st.sampled_from([*SIGNS, "\n", "\n", "\t"]), max_size=30).map("".join)


@pytest.mark.usefixtures("unhurried")
@settings(max_examples=40)
@given(PIECES, st.sampled_from(["x.yml", "Makefile", "deploy.rb"]))
def test_nothing_that_stands_in_such_a_file_crashes_the_importer(text: str, name: str) -> None:
    sound(build(read(text, name)), TABLES)


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("text", ["[" * 3000, "a: " * 2000, "{" * 3000])
def test_what_is_nested_without_end_is_refused(text: str) -> None:
    reading = read(text, "x.yml")
    assert not reading.found
    assert reading.rejected
