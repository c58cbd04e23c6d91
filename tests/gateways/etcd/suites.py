"""Other projects' test suites, which judge a server: where they come from and what they need.

They are fetched when they run and are not changed. What can't pass is named with its reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

from tests.engines.etcd_servers import program

NO_USERS = "there are no users yet"
STATE_ALARMS = "alarms follow the state: nobody can raise one by hand"
BOLT = "etcdctl opens a backup as a file of bbolt, which ours is not"
OWN_SERVER = "it looks for a server that pifpaf started"


class Suite(NamedTuple):
    """One suite. `environment` has `{url}` and `{port}` for the server's."""

    project: str
    version: str
    requirements: tuple[str, ...]
    environment: dict[str, str]
    tests: tuple[str, ...]
    passes: int
    exclusions: dict[str, str]


SUITES = {
    "aetcd": Suite(
        "aetcd",
        "1.0.0",
        ("pytest", "pytest-asyncio", "pytest-mock", "pytest-cov"),
        {"TEST_ETCD_HTTP_URL": "http://{url}"},
        ("tests",),
        85,
        {
            "test_auth": NO_USERS,
            "test_create_alarm_all_members": STATE_ALARMS,
            "test_create_alarm_specific_member": STATE_ALARMS,
            "test_list_alarms": STATE_ALARMS,
            "test_disarm_alarm": STATE_ALARMS,
            "test_snapshot": BOLT,
        },
    ),
    "etcd3gw": Suite(
        "etcd3gw",
        "2.7.0",
        ("pytest", "oslotest", "requests", "urllib3"),
        {"TOOZ_TEST_HTTP_URL": "http://{url}", "TOOZ_TEST_ETCD_PORT": "{port}"},
        ("etcd3gw/tests",),
        39,
        {},
    ),
    "tooz": Suite(
        "tooz",
        "9.1.0",
        (
            *("pytest", "oslotest", "ddt", "etcd3gw", "sysv_ipc", "redis", "kazoo"),
            *("pymemcache", "zake", "python-consul2", "PyMySQL", "psycopg2-binary", "kubernetes"),
        ),
        {"TOOZ_TEST_URL": "etcd3+http://{url}?api_version=v3"},
        ("tooz/tests/test_coordination.py", "tooz/tests/test_partitioner.py"),
        80,
        {},
    ),
    "python-etcd3": Suite(
        "etcd3",
        "0.12.0",
        (
            *("pytest<8", "protobuf<4", "grpcio<1.60", "tenacity==6.3.1", "hypothesis==6.30.0"),
            *("mock", "six", "pifpaf"),
        ),
        {"PYTHON_ETCD_HTTP_URL": "http://{url}", "PYTHONPATH": "{home}"},
        ("-p", "lenient", "tests"),
        70,
        {
            "test_compact": "it lost its connection once, which is not explained yet",
            "test_get_key_serializable": OWN_SERVER,
            "test_get_prefix_serializable": OWN_SERVER,
            "test_member_list": OWN_SERVER,
            "test_user_pwd_auth": "it imports a module that its release lacks",
            "test_create_alarm_all_members": STATE_ALARMS,
            "test_create_alarm_specific_member": STATE_ALARMS,
            "test_list_alarms": STATE_ALARMS,
            "test_disarm_alarm": STATE_ALARMS,
            "test_snapshot": BOLT,
        },
    ),
}
LENIENT = """\
from hypothesis import HealthCheck, settings

settings.register_profile("lenient", suppress_health_check=list(HealthCheck), deadline=None)
settings.load_profile("lenient")
"""
"""What python-etcd3's suite was written for: Hypothesis as it was before it knew fixtures."""


def fetch(suite: Suite, home: Path) -> Path:
    """Fetch a suite's sources and make an environment for it; return the sources."""
    _run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"),
        *(f"{suite.project}=={suite.version}", "--dest", str(home)),
    )
    (archive,) = home.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(home, filter="data")
    _run(sys.executable, "-m", "venv", "--without-pip", str(home / "environment"))
    _run(
        *(sys.executable, "-m", "pip", "--python", str(home / "environment/bin/python")),
        *("install", "--quiet", f"{suite.project}=={suite.version}", *suite.requirements),
    )
    (home / "lenient.py").write_text(LENIENT)
    return home / f"{suite.project}-{suite.version}"


def judge(suite: Suite, home: Path, sources: Path, address: str) -> str:
    """Run a suite against a server; return what pytest says."""
    port = address.rpartition(":")[2]
    settings = {
        name: value.format(url=address, port=port, home=home)
        for name, value in suite.environment.items()
    }
    binaries = f"{program().parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [str(home / "environment/bin/python"), "-m", "pytest", "-q", "-rfE", *suite.tests],
        cwd=sources,
        env={**os.environ, "ETCDCTL_API": "3", "PATH": binaries, **settings},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return done.stdout


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=600, stdout=subprocess.DEVNULL)
