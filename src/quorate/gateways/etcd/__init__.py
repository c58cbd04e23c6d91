"""etcd's v3 API over a cluster of Quorate nodes."""
