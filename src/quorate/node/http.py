"""The HTTP side of a node: /health, /ready, /version, /status and /metrics."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web

from quorate.kv.requests import Status

PROMETHEUS = "text/plain; version=0.0.4"


class HttpServer:
    """Serves what operators and their tools ask."""

    def __init__(
        self, status: Callable[[], Status], counters: Callable[[], dict[str, float]]
    ) -> None:
        self._status = status
        self._counters = counters
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 picks a free one."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/health", self._health),
                web.get("/ready", self._ready),
                web.get("/version", self._version),
                web.get("/status", self._full_status),
                web.get("/metrics", self._metrics),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _health(self, _: web.Request) -> web.Response:
        healthy = self._status().healthy
        return web.json_response({"health": healthy}, status=200 if healthy else 503)

    async def _ready(self, _: web.Request) -> web.Response:
        status = self._status()
        ready = status.healthy and status.leader != 0
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": self._status().version})

    async def _full_status(self, _: web.Request) -> web.Response:
        body = msgspec.json.encode(msgspec.structs.asdict(self._status()))
        return web.Response(body=body, content_type="application/json")

    async def _metrics(self, _: web.Request) -> web.Response:
        lines = []
        for name, value in self._counters().items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# TYPE quorate_{name} {kind}", f"quorate_{name} {value:g}"]
        return web.Response(
            body="\n".join(lines).encode() + b"\n", headers={"Content-Type": PROMETHEUS}
        )
