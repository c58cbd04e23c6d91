"""Drives Raft groups: one journal for all, one timer and one machine for each."""

from quorate.runtime.host.group import Group, Mailbox, ProposalFailed, ReadAnswer
from quorate.runtime.host.journal import Journal

__all__ = ["Group", "Journal", "Mailbox", "ProposalFailed", "ReadAnswer"]
