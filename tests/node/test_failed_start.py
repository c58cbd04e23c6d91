"""A node that could not start leaves its directory to whoever can do better."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from quorate.cli.processes import free_ports
from quorate.errors import ConfigurationError
from quorate.node import Node, NodeConfig


def config(directory: Path, name: str, port: int) -> NodeConfig:
    address = f"127.0.0.1:{port}"
    return NodeConfig(
        name=name, data_dir=str(directory), listen=address, peers=(f"{name}={address}",)
    )


def test_the_directory_is_free_after_a_start_that_failed(tmp_path: Path) -> None:
    async def body() -> None:
        (port,) = free_ports(1)
        first = Node(config(tmp_path, "one", port))
        await first.start()
        await first.stop()
        with pytest.raises(ConfigurationError, match="belongs to the node 'one'"):
            await Node(config(tmp_path, "two", port)).start()
        again = Node(config(tmp_path, "one", port))
        await again.start()
        with pytest.raises(ConfigurationError, match="another process"):
            await Node(config(tmp_path, "one", port)).start()
        await again.stop()

    asyncio.run(body())
