"""Protocols as pure state machines: no I/O, clock, randomness or threads of their own."""
