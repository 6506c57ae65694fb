from pyinfra import host
from pyinfra.operations import files, git, server

release = f"/srv/api/releases/{host.data.release}"

git.repo(
    name="Fetch the release",
    src="/srv/api.git",
    dest=release,
    branch="main",
)
files.link(
    name="Switch to it",
    path="/srv/api/current",
    target=release,
)
server.shell(
    name="Restart",
    commands=["supervisorctl restart api"],
)
server.shell(
    name="Smoke",
    commands=[
        f"curl -fsS --retry 10 --retry-delay 1 --retry-all-errors http://{host.name}:8080/health"
    ],
)
