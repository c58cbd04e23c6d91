"""Framed, bounded, optionally mutually authenticated connections between nodes and clients."""
