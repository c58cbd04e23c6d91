"""What one node shows to operators, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import quorate
from quorate.cli.processes import LocalCluster
from quorate.errors import ConfigurationError
from quorate.node.config import NodeConfig

pytestmark = pytest.mark.system


def quorate_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "quorate", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def fetch(address: str, path: str) -> str:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as response:
        body: bytes = response.read()
        return body.decode()


def test_every_node_answers_over_http(cluster: LocalCluster) -> None:
    for node in cluster.nodes:
        assert json.loads(fetch(node.http, "/health")) == {"health": True}
        assert "version" in json.loads(fetch(node.http, "/version"))
        assert "quorate_commit_index" in fetch(node.http, "/metrics")


def test_the_command_line_reads_and_writes(cluster: LocalCluster) -> None:
    put = quorate_command("kv", "put", "colour", "green", "--url", cluster.url)
    assert put.returncode == 0, put.stderr
    assert quorate_command("kv", "get", "colour", "--url", cluster.url).stdout == "green\n"
    absent = quorate_command("kv", "get", "sound", "--url", cluster.url)
    assert absent.returncode == 1
    assert "there is no key 'sound'" in absent.stderr
    status = quorate_command("status", "--json", "--url", cluster.url)
    nodes = json.loads(status.stdout)["nodes"]
    assert sorted(node["role"] for node in nodes) == ["follower", "follower", "leader"]


def test_a_command_runs_under_the_lock(cluster: LocalCluster) -> None:
    code = "import os, sys; print(int(os.environ['QUORATE_FENCING_TOKEN']) > 0); sys.exit(7)"
    done = quorate_command("lock", "job", "--url", cluster.url, "--", sys.executable, "-c", code)
    assert done.stdout == "True\n"
    assert done.returncode == 7


@pytest.mark.parametrize("patience", ["0", "0.5"])
def test_a_command_is_not_run_when_the_lock_is_not_free_in_time(
    cluster: LocalCluster, tmp_path: Path, patience: str
) -> None:
    ran = tmp_path / "ran"
    arguments = ["lock", "job", "--url", cluster.url, "--timeout", patience]
    arguments += ["--", sys.executable, "-c", f"open({str(ran)!r}, 'w')"]
    with quorate.Client(cluster.url) as client:
        with client.lock("job", ttl=10):
            done = quorate_command(*arguments)
        assert done.returncode == 3
        assert "not free" in done.stderr
        assert not ran.exists()
        assert not client.kv.range(prefix="job/").items, "no waiter stays behind"
    assert quorate_command(*arguments).returncode == 0
    assert ran.exists()


def test_nobody_there_is_said_in_one_line() -> None:
    done = quorate_command("kv", "get", "k", "--url", "quorate://127.0.0.1:1", "--timeout", "0.5")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "check that a majority of the nodes is up" in done.stderr


def test_serving_beyond_loopback_in_clear_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="mutual TLS"):
        NodeConfig(name="a", data_dir=str(tmp_path), listen="0.0.0.0:7400")
    NodeConfig(name="a", data_dir=str(tmp_path), listen="0.0.0.0:7400", insecure=True)
    done = quorate_command(
        *("serve", "--name", "a", "--data-dir", str(tmp_path / "a")),
        *("--listen", "0.0.0.0:7400", "--peers", "a=192.0.2.1:7400"),
    )
    assert done.returncode == 2
    assert "mutual TLS" in done.stderr
    assert not (tmp_path / "a").exists(), "nothing was begun"


def test_a_directory_in_use_is_refused(cluster: LocalCluster) -> None:
    node = cluster.nodes[0]
    done = quorate_command(
        "serve", "--name", node.name, "--data-dir", str(node.directory), "--listen", "127.0.0.1:0"
    )
    assert done.returncode == 2
    assert "another process uses" in done.stderr


def test_the_demo_ends_by_itself_with_the_exact_count() -> None:
    done = quorate_command("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the counter says 160: exact" in done.stdout
    assert "SIGKILL" in done.stdout
