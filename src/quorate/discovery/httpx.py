"""For httpx: requests to a service's name go to one of the instances that a view knows.

A request whose instance can't be connected to is given to the next one, whatever its method:
nothing of it was sent. One that broke off later is not, since it may have been done.
"""

from __future__ import annotations

from typing import Final

import httpx

from quorate.discovery.provider import Provider
from quorate.errors import NoInstance
from quorate.recipes.instances import Instance

NOT_CONNECTED: Final = (httpx.ConnectError, httpx.ConnectTimeout)


class AsyncViewTransport(httpx.AsyncBaseTransport):
    """The transport of an `httpx.AsyncClient` to one service.

        httpx.AsyncClient(mounts={"all://api": AsyncViewTransport(view)})

    Then `http://api/` goes to the instance whose turn it is; an instance that can't be
    connected to is reported down to the view. The host that the request names, and the name
    that a certificate has to have, stay the service's. `transport` does the work, by default a
    new `httpx.AsyncHTTPTransport`; it is for this service alone, since it uses connections to
    an address again whatever name they were made for. Without an instance a request raises
    `httpx.ConnectError`.
    """

    def __init__(
        self, service: Provider, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._service = service
        self._transport: httpx.AsyncBaseTransport = transport or httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; raises what httpx's own transports do."""
        tries = len(self._service.instances)
        while True:
            instance = _picked(self._service, request)
            tries -= 1
            try:
                return await self._transport.handle_async_request(_sent_to(instance, request))
            except NOT_CONNECTED:
                self._service.report_down(instance)
                if tries <= 0:
                    raise

    async def aclose(self) -> None:
        """Close the transport that does the work."""
        await self._transport.aclose()


class ViewTransport(httpx.BaseTransport):
    """The same for an `httpx.Client`, with a view of a blocking `quorate.Client`."""

    def __init__(self, service: Provider, transport: httpx.BaseTransport | None = None) -> None:
        self._service = service
        self._transport: httpx.BaseTransport = transport or httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; raises what httpx's own transports do."""
        tries = len(self._service.instances)
        while True:
            instance = _picked(self._service, request)
            tries -= 1
            try:
                return self._transport.handle_request(_sent_to(instance, request))
            except NOT_CONNECTED:
                self._service.report_down(instance)
                if tries <= 0:
                    raise

    def close(self) -> None:
        """Close the transport that does the work."""
        self._transport.close()


def _picked(service: Provider, request: httpx.Request) -> Instance:
    try:
        return service.pick()
    except NoInstance as error:
        # Whoever uses httpx expects its errors.
        raise httpx.ConnectError(str(error), request=request) from error


def _sent_to(instance: Instance, request: httpx.Request) -> httpx.Request:
    """Return the request for one instance; its Host header names the service still."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=instance.host, port=instance.port),
        headers=request.headers,
        stream=request.stream,
        extensions={"sni_hostname": request.url.host, **request.extensions},
    )
