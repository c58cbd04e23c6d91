"""The engine behind `quorate://host:port,...`: a client of a cluster of Quorate nodes."""

from quorate.engines.cluster.store import ClusterStore

__all__ = ["ClusterStore"]
