"""The configuration of one node: one frozen object, checked at the edge."""

from __future__ import annotations

import hashlib
import ipaddress
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from quorate.errors import ConfigurationError
from quorate.kv.watches import REPLAY_CHANGES
from quorate.protocol.raft import RaftConfig
from quorate.protocol.raft.configuration import Member
from quorate.runtime.transport.tls import TlsConfig
from quorate.runtime.wal import DEFAULT_SEGMENT_BYTES


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `quorate serve` needs to know. Addresses are "host:port".

    `peers` names every first member, this one included, as NAME=HOST:PORT; `join` names
    nodes of a cluster that has this one as a member already. One of the two is needed the
    first time only: afterwards the data directory knows.
    """

    name: str = ""
    data_dir: str = ""
    listen: str = "127.0.0.1:7400"
    advertise: str = ""
    http: str = ""
    etcd: str = ""
    """Where etcd's clients are served, empty for nowhere."""
    peers: tuple[str, ...] = ()
    join: tuple[str, ...] = ()
    token: str = "quorate"  # noqa: S105  tells clusters apart, keeps nobody out
    tls: TlsConfig | None = None
    insecure: bool = False
    snapshot_entries: int = 500_000

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigurationError("a node needs a name: --name NAME")
        if not self.data_dir:
            raise ConfigurationError("a node needs a data directory: --data-dir DIR")
        for address in (self.listen, self.advertise, self.http, self.etcd):
            if address:
                split_address(address)
        if self.peers and self.join:
            raise ConfigurationError("--peers makes a cluster, --join enters one: give one of them")
        if self.snapshot_entries < 1:
            raise ConfigurationError("snapshot_entries must be at least 1")
        self._check_reach()

    @property
    def address(self) -> str:
        """The address that others reach this node by."""
        return self.advertise or self.listen

    @property
    def members(self) -> tuple[Member, ...]:
        """The first members, with ids made of their names and the token."""
        pairs = [peer.partition("=") for peer in self.peers]
        for name, _, address in pairs:
            if not name or not address:
                raise ConfigurationError(f"a peer is written NAME=HOST:PORT, not {name!r}")
            split_address(address)
        if pairs and self.name not in [name for name, _, _ in pairs]:
            raise ConfigurationError(f"--peers does not name this node, {self.name!r}")
        return tuple(Member(self._identifier(name), name, address) for name, _, address in pairs)

    @property
    def cluster_id(self) -> int:
        """The id of the cluster that `peers` make: the same on each of them."""
        return self._identifier("\0".join(sorted(self.peers)))

    def _identifier(self, text: str) -> int:
        digest = hashlib.sha256(f"{self.token}\0{text}".encode()).digest()
        return (int.from_bytes(digest[:8], "big") >> 1) | 1

    def _check_reach(self) -> None:
        if self.tls is not None or self.insecure:
            return
        for address in filter(None, (self.listen, self.etcd)):
            if not is_loopback(address):
                raise ConfigurationError(
                    f"{address} can be reached from other machines: give --tls-certificate, "
                    "--tls-key and --tls-authority for mutual TLS, or say --insecure"
                )


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What a release chooses well and nobody configures; simulations choose it oddly."""

    raft: RaftConfig = RaftConfig()
    segment_bytes: int = DEFAULT_SEGMENT_BYTES
    replay_changes: int = REPLAY_CHANGES


def split_address(address: str) -> tuple[str, int]:
    """Split "host:port"; raises ConfigurationError."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ConfigurationError(f"{address!r} is no address: write host:port")
    return host, int(port)


def is_loopback(address: str) -> bool:
    """Tell whether an address can only be reached from this machine."""
    host, _ = split_address(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def load_config(path: str, overrides: dict[str, Any]) -> NodeConfig:
    """Read a TOML file; values in `overrides` that are set win."""
    try:
        settings = tomllib.loads(Path(path).read_text()) if path else {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} can't be read as TOML: {error}") from error
    settings.update({key: value for key, value in overrides.items() if value})
    try:
        return msgspec.convert(settings, NodeConfig)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{path or 'the flags'}: {error}") from error
