"""What `init` writes: a tasks.py, a runbook and an inventory to start from, all explained."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
FILES = {
    "tasks.py": "tasks.py.txt",
    "runbooks/deploy.yaml": "deploy.yaml",
    "inventories/prod.yaml": "prod.yaml",
}
SAMPLE_PORT = "48080"


def write(directory: Path) -> tuple[list[str], list[str]]:
    """Write what is missing; nothing is overwritten. Returns what was written and what stays."""
    texts = {name: (HERE / source).read_text() for name, source in FILES.items()}
    return _write(directory, texts)


def write_local(directory: Path, port: int) -> tuple[list[str], list[str]]:
    """Write what a deploy of the sample application on this machine needs."""
    local = (HERE / "local.yaml").read_text().replace(SAMPLE_PORT, str(port))
    deploy = (HERE / "deploy.yaml").read_text()
    return _write(directory, {"runbooks/deploy.yaml": deploy, "inventories/local.yaml": local})


def _write(directory: Path, texts: dict[str, str]) -> tuple[list[str], list[str]]:
    written: list[str] = []
    kept: list[str] = []
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x") as file:
                file.write(text)
        except FileExistsError:
            kept.append(name)
        else:
            written.append(name)
    return written, kept
