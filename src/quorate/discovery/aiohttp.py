"""For aiohttp: names of services are resolved to the instances that a view knows."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

from quorate.discovery.provider import Provider
from quorate.errors import NoInstance
from quorate.recipes.instances import Instance


class ViewResolver(AbstractResolver):
    """Resolves hosts that are services; `fallback` (the usual resolver) has all others.

        aiohttp.TCPConnector(resolver=ViewResolver({"api.quorate": view}), use_dns_cache=False)

    Then `http://api.quorate/` goes to the instance whose turn it is, at its own port, and to
    another when that one can't be connected to. The connector's cache has to be off, or it
    keeps what it was told for 10 seconds. Turns are taken by connections, not by requests:
    those that are kept open are used again. Without an instance the request raises
    `aiohttp.ClientConnectorDNSError`.
    """

    def __init__(
        self, services: Mapping[str, Provider], fallback: AbstractResolver | None = None
    ) -> None:
        self._services = services
        self._fallback: AbstractResolver = fallback or DefaultResolver()
        self._owns_fallback = fallback is None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a service's instances, the one whose turn it is first.

        Raises OSError when there is none, as aiohttp asks of a resolver.
        """
        service = self._services.get(host)
        if service is None:
            return await self._fallback.resolve(host, port, family)
        try:
            first = service.pick()
        except NoInstance as error:
            raise OSError(str(error)) from error
        others = [each for each in service.instances if each.weight and each.id != first.id]
        found = []
        for instance in [first, *others]:
            found += await self._addresses(host, instance, family)
        return found

    async def close(self) -> None:
        """Close the resolver that was made here; one that was given stays open."""
        if self._owns_fallback:
            await self._fallback.close()

    async def _addresses(
        self, service: str, instance: Instance, family: socket.AddressFamily
    ) -> list[ResolveResult]:
        try:
            version = ipaddress.ip_address(instance.host).version
        except ValueError:
            return await self._fallback.resolve(instance.host, instance.port, family)
        own = socket.AF_INET if version == 4 else socket.AF_INET6
        if family not in (socket.AF_UNSPEC, own):
            return []
        return [
            ResolveResult(
                hostname=service,
                host=instance.host,
                port=instance.port,
                family=own,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
        ]
