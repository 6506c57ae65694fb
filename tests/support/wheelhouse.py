"""Wheels of the libraries that are installed here, so that pip, pipx and uv install without an
index: what stands in site-packages, packed again."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

MADE_ANEW = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def fill(folder: Path, *wanted: str) -> None:
    """Make a wheel of each of these, and of all that they need. Raises PackageNotFoundError."""
    folder.mkdir()
    for found in _with_all_they_need(wanted):
        _pack(found, folder)


def offline(folder: Path) -> dict[str, str]:
    """The variables with which pip and uv look nowhere else."""
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_EXTRA_INDEX_URL": ""}
    quick = {"PIP_NO_COMPILE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1"}
    uv = {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(folder), "UV_OFFLINE": "1"}
    return {**pip, **quick, **uv, "UV_PYTHON_DOWNLOADS": "never"}


def _with_all_they_need(wanted: tuple[str, ...]) -> Iterator[Distribution]:
    ahead, seen = list(wanted), set()
    while ahead:
        asked = Requirement(ahead.pop())
        if (asked.name.lower(), *asked.extras) in seen:
            continue
        seen.add((asked.name.lower(), *asked.extras))
        found = distribution(asked.name)
        for line in found.requires or ():
            needed = Requirement(line)
            extras = ({"extra": extra} for extra in (*asked.extras, ""))
            if needed.marker is None or any(needed.marker.evaluate(each) for each in extras):
                ahead.append(str(Requirement(line.partition(";")[0])))
        if asked.name != "backout":
            yield found


def _pack(found: Distribution, folder: Path) -> None:
    about = (found.read_text("WHEEL") or "").splitlines()
    tags = [line.removeprefix("Tag: ").split("-") for line in about if line.startswith("Tag: ")]
    tag = "-".join(".".join(dict.fromkeys(each)) for each in zip(*tags, strict=True))
    name = found.metadata["Name"].replace("-", "_").replace(".", "_")
    path = folder / f"{name}-{found.version}-{tag}.whl"
    files = [f for f in found.files or () if ".." not in f.parts and "__pycache__" not in f.parts]
    kept = [each for each in files if each.name not in MADE_ANEW]
    (info,) = {each.parts[0] for each in files if each.name == "METADATA" and len(each.parts) == 2}
    with zipfile.ZipFile(path, "w") as wheel:
        for each in kept:
            wheel.write(str(each.locate()), str(each))
        rows = [f"{each},," for each in kept]
        wheel.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,", ""]))
