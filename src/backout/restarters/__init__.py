"""Restart backends: who serves an application, and how it is asked to start anew."""

from __future__ import annotations

from backout.registry import Table

BACKENDS = Table(
    {
        "docker": "backout.restarters.docker:Docker",
        "docker-compose": "backout.restarters.docker_compose:DockerCompose",
        "heroku": "backout.restarters.heroku:Heroku",
        "pm2": "backout.restarters.pm2:Pm2",
        "supervisor": "backout.restarters.supervisor:Supervisor",
        "systemd": "backout.restarters.systemd:Systemd",
    },
    "backout.restarters",
    "backout.ports.strangers:RESTARTER",
)
