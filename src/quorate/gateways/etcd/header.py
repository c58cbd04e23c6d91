"""What stands at the head of every answer: who answers, and as of when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from quorate.codecs.etcd.messages import MESSAGES

_ResponseHeader: Final = MESSAGES["ResponseHeader"]


class Headers:
    """Makes headers; remembers the highest revision that was seen, for answers without one."""

    def __init__(self, cluster: int, member: int, term: Callable[[], int]) -> None:
        self.cluster = cluster
        self.member = member
        self._term = term
        self.revision = 1

    def at(self, revision: int) -> Any:
        """Return a header of a revision that an answer was made at."""
        self.revision = max(self.revision, revision)
        return _ResponseHeader(
            cluster_id=self.cluster,
            member_id=self.member,
            revision=revision,
            raft_term=self._term(),
        )

    def latest(self) -> Any:
        """Return a header of the newest revision that this gateway knows of."""
        return self.at(self.revision)
