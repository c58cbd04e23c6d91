"""Members that come and go by etcd's API."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from quorate.cli.processes import LocalCluster, LocalNode, Ports, free_ports

from .programs import Ctl, programs

pytestmark = pytest.mark.system


def test_a_member_added_by_its_address_joins_votes_and_leaves(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    ctl = Ctl(programs()["3.5"], cluster.nodes[0].etcd)
    port, http, etcd = free_ports(3)
    added = ctl.run("member", "add", "new", "--learner", f"--peer-urls=http://127.0.0.1:{port}")
    assert added.returncode == 0, added.stderr
    identifier = added.stdout.split()[1]
    assert "unstarted" in ctl.run("member", "list").stdout
    node = LocalNode("new", tmp_path / "new", Ports(port, http, etcd), "")
    node.start("--join", cluster.nodes[0].address)
    try:
        assert asyncio.run(node.settled(30))
        while (promoted := ctl.run("member", "promote", identifier)).returncode:
            assert "in sync with leader" in promoted.stderr
        assert ctl.run("put", "k", "v").returncode == 0
        at_the_new = Ctl(ctl.binary, node.etcd)
        assert at_the_new.run("get", "k", "--print-value-only").stdout == "v\n"
        removed = ctl.run("member", "remove", identifier)
        assert removed.returncode == 0, removed.stderr
        assert identifier not in ctl.run("member", "list").stdout
    finally:
        node.kill()
