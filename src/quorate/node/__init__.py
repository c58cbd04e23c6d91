"""One server process: configuration, identity, assembly and what it serves."""

from quorate.node.config import NodeConfig, load_config
from quorate.node.node import Node

__all__ = ["Node", "NodeConfig", "load_config"]
