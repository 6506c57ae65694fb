"""The typed API: what it names, and what its docstrings promise."""

from __future__ import annotations

import doctest
from importlib import import_module
from types import ModuleType

import pytest

import backout
from support.api_page import PAGE, page


def test_every_name_of_the_api_is_there_and_they_are_sorted() -> None:
    assert backout.__all__ == sorted(backout.__all__, key=lambda name: (name[0] == "_", name))
    for name in backout.__all__:
        assert getattr(backout, name) is not None


def test_what_is_not_named_is_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = backout.Nothing


@pytest.mark.parametrize("name", ["backout.api", "backout.reports.report"])
def test_the_examples_in_the_docstrings_run(name: str) -> None:
    module: ModuleType = import_module(name)
    results = doctest.testmod(module)
    assert (results.failed, results.attempted > 0) == (0, True)


def test_the_page_of_the_api_is_current() -> None:
    assert PAGE.read_text() == page(), "in tests/: python -m support.api_page"
