from pyinfra import host
from pyinfra.operations import files, server

files.link(
    name="Switch back",
    path="/srv/api/current",
    target=f"/srv/api/releases/{host.data.release}",
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
