"""etcd's v3 API as bytes: its messages and calls, its errors' words, and its JSON."""
