"""The tasks of this directory: `invoke --list` shows them."""

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from backout.tasks import ns

__all__ = ["ns"]


@task
def check(c: Context) -> None:
    """What a contributor's tools say: style, types, imports, shell, documents."""
    c.run("tests/check", pty=False)


@task
def quick(c: Context) -> None:
    """The tests that start no real part."""
    c.run("tests/run quick", pty=False)


dev = Collection("dev")
dev.add_task(check, name="check")
dev.add_task(quick, name="quick")
ns.add_collection(dev)
