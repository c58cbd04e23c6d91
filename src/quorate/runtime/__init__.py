"""The only floor that touches the real world: files, sockets, clocks and threads."""
