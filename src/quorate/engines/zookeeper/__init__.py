"""The engine of a user who runs ZooKeeper already."""

from quorate.engines.zookeeper.store import ZooKeeperStore

__all__ = ["ZooKeeperStore"]
