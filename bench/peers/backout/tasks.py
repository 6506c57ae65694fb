from backout.tasks import ns  # noqa: F401
