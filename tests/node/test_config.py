"""The configuration of a node is checked before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.errors import ConfigurationError
from quorate.node.config import NodeConfig, is_loopback, load_config

EXAMPLE = Path(__file__).parents[2] / "packaging" / "quorate.toml"


def test_the_example_file_is_a_valid_configuration() -> None:
    config = load_config(str(EXAMPLE), {})
    assert config.tls is not None
    assert [member.name for member in config.members] == ["a", "b", "c"]


def test_flags_win_over_the_file() -> None:
    assert load_config(str(EXAMPLE), {"name": "b", "http": ""}).name == "b"


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text('name = "a"\ndata_dir = "d"\nlistn = "127.0.0.1:1"\n')
    with pytest.raises(ConfigurationError, match="listn"):
        load_config(str(file), {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": ""}, "needs a name"),
        ({"data_dir": ""}, "needs a data directory"),
        ({"listen": "nowhere"}, "write host:port"),
        ({"peers": ("a=127.0.0.1:1",), "join": ("127.0.0.1:2",)}, "give one of them"),
        ({"listen": "10.0.0.1:7400"}, "mutual TLS"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_config("", {"name": "a", "data_dir": "d", **settings})


def test_every_first_member_computes_the_same_ids() -> None:
    peers = ("a=127.0.0.1:1", "b=127.0.0.1:2")
    first = NodeConfig(name="a", data_dir="d", peers=peers)
    second = NodeConfig(name="b", data_dir="e", peers=tuple(reversed(peers)))
    assert first.cluster_id == second.cluster_id
    assert set(first.members) == set(second.members)
    assert NodeConfig(name="a", data_dir="d", peers=peers, token="x").cluster_id != first.cluster_id


def test_loopback_is_told_from_the_world() -> None:
    assert is_loopback("127.0.0.1:1")
    assert is_loopback("localhost:1")
    assert is_loopback("[::1]:1")
    assert not is_loopback("0.0.0.0:1")
    assert not is_loopback("example.org:1")
