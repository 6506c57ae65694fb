"""Heroku, from this machine: a client, what deploying there means, and both as a program."""

from backout.heroku.client import Heroku, HerokuError

__all__ = ["Heroku", "HerokuError"]
