"""Engines: implementations of the Store port, chosen by URL."""
