"""A person's crontab, of which one line is ours: it is written whole, so it is read whole or not
touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from backout.adapters.autostart import MARK, Crontab, Entry
from backout.errors import Refused

THEIRS = b"MAILTO=\xfc@example.org\r\n# a\x0cb \xe2\x80\xa8 c\n*/5 * * * * backup\n"
PROGRAM = """#!/bin/sh
case $1 in
  -l) {list} ;;
  -) cat >{tab} ;;
esac
"""
OURS = Entry("crontab:/srv prod", f"* * * * * verify {MARK}/srv prod", "/srv prod")


def crontab(folder: Path, list: str = "cat {tab}") -> Crontab:
    tab, program = folder / "tab", folder / "crontab"
    program.write_text(PROGRAM.format(list=list.format(tab=tab), tab=tab))
    program.chmod(0o755)
    return Crontab((str(program),))


def test_the_lines_of_others_stay_as_they_are_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "tab").write_bytes(THEIRS)
    table = crontab(tmp_path)

    table.write([OURS])

    assert (tmp_path / "tab").read_bytes() == THEIRS + f"{OURS.text}\n".encode()
    assert table.entries() == (OURS,)
    table.remove([OURS])
    assert (tmp_path / "tab").read_bytes() == THEIRS


@pytest.mark.parametrize(
    "said",
    ["no crontab for deploy", "crontab: can't open 'deploy': No such file or directory"],
)
def test_where_there_is_none_one_is_made(tmp_path: Path, said: str) -> None:
    table = crontab(
        tmp_path, f'[ -e {{tab}} ] && cat {{tab}} || {{{{ echo "{said}" >&2; exit 1; }}}}'
    )

    table.write([OURS])

    assert (tmp_path / "tab").read_text() == f"{OURS.text}\n"


@pytest.mark.parametrize("list", ["head -n 1 {tab}; echo 'I/O error' >&2; exit 1", "exit 1"])
def test_one_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path, list: str) -> None:
    (tmp_path / "tab").write_bytes(THEIRS)
    table = crontab(tmp_path, list)

    for change in (table.write, table.remove):
        with pytest.raises(Refused) as refused:
            change([OURS])
        assert "-l" in refused.value.next
    assert (tmp_path / "tab").read_bytes() == THEIRS
    assert table.entries() == ()
