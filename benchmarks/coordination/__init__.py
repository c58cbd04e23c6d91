"""Quorate beside etcd and ZooKeeper on one machine: `python -m benchmarks.coordination`."""
