"""Hosts with a network of their own: what a client sees when cable or power go."""

from __future__ import annotations

import subprocess

import pytest

from support.disk import small_disk
from support.netns import NetnsBed
from support.wait import eventually


def test_hosts_answer_on_the_usual_port_of_their_own_address(netns_bed: NetnsBed) -> None:
    for host in netns_bed:
        done = netns_bed.ssh(host.name, "hostname")
        assert done.stdout.strip() == host.name, done.stderr


def test_a_pulled_cable_is_silence_and_not_a_refusal(netns_bed: NetnsBed) -> None:
    host = netns_bed["web1"]
    host.partition()
    with pytest.raises(subprocess.TimeoutExpired):
        netns_bed.ssh("web1", "true", timeout=0.5)
    assert netns_bed.ssh("web2", "true").returncode == 0
    host.heal()
    eventually(lambda: netns_bed.ssh("web1", "true").returncode == 0)


def test_a_command_outlives_a_pulled_cable(netns_bed: NetnsBed) -> None:
    host = netns_bed["web1"]
    held = "touch began; until [ -e go ]; do sleep 0.05; done; touch ended"
    argv = netns_bed.ssh_command("web1", held)
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as client:
        eventually((host.home / "began").exists)
        host.partition()
        (host.home / "go").touch()
        eventually((host.home / "ended").exists)
        assert client.poll() is None, "the client cannot know"
        client.kill()


def test_dropped_packets_are_silence_too(netns_bed: NetnsBed) -> None:
    netns_bed["web1"].lose(1.0)
    with pytest.raises(subprocess.TimeoutExpired):
        netns_bed.ssh("web1", "true", timeout=0.5)
    netns_bed["web1"].heal()
    eventually(lambda: netns_bed.ssh("web1", "true").returncode == 0)


def test_a_host_comes_back_after_a_power_cut(netns_bed: NetnsBed) -> None:
    host = netns_bed["web1"]
    netns_bed.ssh("web1", "echo kept > file")
    host.power_cut()
    host.start()
    eventually(lambda: netns_bed.ssh("web1", "cat file").stdout == "kept\n")


def test_a_full_disk_refuses_a_write_until_space_is_given_back(netns_bed: NetnsBed) -> None:
    host = netns_bed["web1"]
    with small_disk(host.home / "data", host.machine) as disk:
        disk.fill()
        write = f"head -c 100000 /dev/zero > {disk.path}/upload"
        assert "No space left on device" in netns_bed.ssh("web1", write).stderr
        disk.empty()
        assert netns_bed.ssh("web1", write).returncode == 0
