"""The engine of a user who runs etcd already."""

from quorate.engines.etcd.store import EtcdStore

__all__ = ["EtcdStore"]
