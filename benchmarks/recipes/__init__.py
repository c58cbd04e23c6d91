"""The recipes beside those of etcd and ZooKeeper: `python -m benchmarks.recipes`."""
