"""The verbs."""

from backout.tasks import ns

__all__ = ["ns"]
