"""What of a remote's address is told to git as a secret."""

from __future__ import annotations

import pytest

from backout.steps.hosted import credentials


@pytest.mark.parametrize(
    "url",
    [
        "/srv/api.git",
        "git@git.example:api.git",
        "ssh://git@git.example/api",
        "https://git.example/a",
    ],
)
def test_an_address_without_a_secret_is_no_variable(url: str) -> None:
    assert credentials(url) == ()


def test_a_user_and_a_password_stand_beside_the_address() -> None:
    assert dict(credentials("https://ann:it%27s@git.example/api")) == {
        "BACKOUT_REMOTE": "https://git.example/api",
        "BACKOUT_ORIGIN": "https://git.example",
        "BACKOUT_USER": "ann",
        "BACKOUT_PASSWORD": "it's",
    }


def test_an_address_with_a_token_in_it_is_a_secret_as_a_whole() -> None:
    url = "https://git.example/api?token=abc"
    assert credentials(url) == (("BACKOUT_REMOTE", url),)
