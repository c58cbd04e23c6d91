"""Planted bugs, and the gate that wants them found."""
