"""What a check reports is what the endpoint took: the wait for a worker is told apart."""

from __future__ import annotations

import threading
from pathlib import Path

from backout.checks.examiner import WORKERS
from backout.model import Finding
from backout.project.project import Workplace
from support.loopback import Answer, Asked, Web
from support.project import Project
from support.wait import eventually, throughout

HELD = 2.0


def test_a_check_that_waits_for_a_worker_does_not_call_that_latency(tmp_path: Path) -> None:
    asked: list[str] = []
    go_on = threading.Event()

    def respond(request: Asked) -> Answer:
        asked.append(request.path)
        go_on.wait(60)
        return Answer('{"status": "ok"}')

    project = Project(tmp_path)
    findings: list[Finding] = []
    with Web(respond) as service:
        checks = {
            f"check-{n}": {"http": f"{service.url}/{n}", "expect": ["status == 200"]}
            for n in range(WORKERS + 1)
        }
        project.inventory("prod", {"checks": checks})
        workplace = Workplace(tmp_path)
        look = workplace.machines(workplace.target("prod")).examiner({})
        looking = threading.Thread(target=lambda: findings.extend(look.examine()))
        looking.start()
        eventually(lambda: len(asked) == WORKERS, saying="every worker asks")
        assert throughout(lambda: len(asked) == WORKERS, seconds=HELD)
        go_on.set()
        looking.join(60)
        workplace.close()

    late = next(f for f in findings if f.check == f"check-{asked[-1].removeprefix('/')}")
    others = [f for f in findings if f is not late]
    assert late.queued_ms >= HELD * 1000
    assert late.elapsed_ms < late.queued_ms
    assert all(finding.elapsed_ms >= HELD * 1000 for finding in others)
    assert all(finding.verdict == "pass" for finding in findings)


def test_an_expectation_is_compiled_once_for_all_looks(tmp_path: Path) -> None:
    from backout.language.cel.evaluator import compiled

    project = Project(tmp_path)
    with Web('{"status": "ok"}') as service:
        expect = ["status == 200", "body.status == 'ok' && size(text) == 16"]
        checks = {f"check-{n}": {"http": service.url, "expect": expect} for n in range(10)}
        project.inventory("prod", {"checks": checks})
        workplace = Workplace(tmp_path)
        look = workplace.machines(workplace.target("prod")).examiner({})
        before = compiled.cache_info().misses
        for _ in range(3):
            assert all(finding.verdict == "pass" for finding in look.examine())
        workplace.close()
    assert compiled.cache_info().misses - before <= len(expect)
