"""For gRPC: a channel's target with all instances that a view knows.

grpcio has no resolvers of one's own in Python, so a channel keeps the addresses that it was
made with: it goes round those that live, but hears of no instance that came later. Make a new
channel when the view has changed.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from quorate.discovery.provider import Provider
from quorate.errors import InvalidRequest, NoInstance

ROUND_ROBIN: Final = (("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),)
"""Options of a channel that uses all of its addresses, not the first that answers."""


def grpc_target(service: Provider) -> str:
    """Return a target like "ipv4:10.0.0.7:8080,10.0.0.8:8080" of all who can be picked.

        grpc.aio.insecure_channel(grpc_target(view), options=ROUND_ROBIN)

    Raises NoInstance, and InvalidRequest unless all have IP addresses of one family, since a
    target has no other place for them. Weights do not count.
    """
    willing = [instance for instance in service.instances if instance.weight]
    if not willing:
        raise NoInstance("no instance of the service is there: wait for one with view.wait()")
    try:
        versions = {ipaddress.ip_address(instance.host).version for instance in willing}
    except ValueError as error:
        raise InvalidRequest(
            f"a gRPC target has IP addresses only ({error}): register the instances by theirs"
        ) from error
    if len(versions) > 1:
        raise InvalidRequest(
            "a gRPC target has addresses of one family: register all by IPv4 or all by IPv6"
        )
    addresses = ",".join(instance.address for instance in willing)
    return f"ipv{versions.pop()}:{addresses}"
