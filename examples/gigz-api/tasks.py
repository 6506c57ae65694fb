"""The tasks of this directory: `invoke --list` shows them."""

from backout.tasks import ns

__all__ = ["ns"]
