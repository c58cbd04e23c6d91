"""Mutual TLS: no certificate, no connection; a renewed one needs no restart."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

import pytest
import trustme

from quorate.errors import ConfigurationError, ConnectionLost, HandshakeRefused, TransportError
from quorate.runtime.transport.tls import ReloadingContext, TlsConfig

from .places import LOOPS, Caller, Desk, hang_up, listening, run, write_certificate

all_loops = pytest.mark.parametrize("loop", LOOPS)


@all_loops
def test_the_right_certificates(loop: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    server = write_certificate(tmp_path / "server", authority, "one")
    client = write_certificate(tmp_path / "client", authority, "two")

    async def main() -> None:
        desk = Desk()
        caller = Caller(tls=ReloadingContext.for_client(client))
        async with listening(desk, tls=ReloadingContext.for_server(server)) as listener:
            connection, _ = await caller.dial(listener.port)
            assert desk.names == [("two", "127.0.0.1")]
            assert connection.peer_names == ("one", "127.0.0.1")
            sent = [bytes(300_000), b"small", bytes(1_000_000)]
            for payload in sent:
                connection.send(payload)
            assert [await caller.frames.get() for _ in sent] == sent
            await hang_up(connection)
            await desk.lost.get()

    run(loop, main)


@all_loops
def test_strangers_are_refused(loop: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    server = write_certificate(tmp_path / "server", authority, "one")
    stranger = write_certificate(tmp_path / "stranger", trustme.CA(), "two")
    # Trusts the server, but shows a certificate that the server does not trust.
    half = TlsConfig(stranger.certificate, stranger.key, server.authority)
    naked = ssl.create_default_context(cafile=server.authority)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    wrong_name = authority.issue_cert("node.invalid")
    wrong_name.cert_chain_pems[0].write_to_path(elsewhere / "pem")
    wrong_name.private_key_pem.write_to_path(elsewhere / "key")
    misnamed = TlsConfig(str(elsewhere / "pem"), str(elsewhere / "key"), server.authority)

    async def main() -> None:
        desk = Desk()
        async with listening(desk, tls=ReloadingContext.for_server(server)) as listener:
            with pytest.raises(HandshakeRefused, match="do not trust each other"):
                await Caller(tls=stranger.client_context()).dial(listener.port)
            for context in (naked, half.client_context()):
                # In TLS 1.3 the server judges last, and its alert may be lost in a reset.
                with pytest.raises((HandshakeRefused, ConnectionLost), match="trust"):
                    await Caller(tls=context).dial(listener.port)
            with pytest.raises(TransportError, match="TLS"):
                await Caller().dial(listener.port)
            assert listener.connections == 0
        assert desk.opened.empty()
        async with listening(desk, tls=misnamed.server_context()) as listener:
            with pytest.raises(HandshakeRefused, match="names the address"):
                await Caller(tls=server.client_context()).dial(listener.port)

    run(loop, main)


@all_loops
def test_files_are_reloaded(loop: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "quorate.transport")
    old, new = trustme.CA(), trustme.CA()
    server = write_certificate(tmp_path / "server", old, "one")
    client = write_certificate(tmp_path / "client", old, "two")
    kept = write_certificate(tmp_path / "kept", old, "three")

    def break_key() -> None:
        Path(server.key).write_text("half a key")

    async def main() -> None:
        desk = Desk()
        caller = Caller(tls=ReloadingContext.for_client(client))
        async with listening(desk, tls=ReloadingContext.for_server(server)) as listener:
            first, _ = await caller.dial(listener.port)
            # Halfway through a replacement the old files stay in force.
            break_key()
            second, _ = await caller.dial(listener.port)
            assert "were not taken" in caplog.text
            write_certificate(tmp_path / "server", new, "one, renewed")
            with pytest.raises(HandshakeRefused):
                await caller.dial(listener.port)
            write_certificate(tmp_path / "client", new, "two, renewed")
            third, _ = await caller.dial(listener.port)
            assert third.peer_names[0] == "one, renewed"
            assert desk.names[-1][0] == "two, renewed"
            # The old authority is not trusted any more, though old connections live on.
            distrusted = TlsConfig(kept.certificate, kept.key, client.authority)
            with pytest.raises((HandshakeRefused, ConnectionLost)):
                await Caller(tls=distrusted.client_context()).dial(listener.port)
            for connection in (first, second, third):
                connection.send(b"still here")
                assert await caller.frames.get() == b"still here"
                await hang_up(connection)

    run(loop, main)


def test_unusable_files_are_named(tmp_path: Path) -> None:
    good = write_certificate(tmp_path / "one", trustme.CA(), "one")
    other = write_certificate(tmp_path / "two", trustme.CA(), "two")
    for config in (
        TlsConfig(good.certificate, str(tmp_path / "nothing"), good.authority),
        TlsConfig(good.certificate, other.key, good.authority),
        TlsConfig(good.certificate, good.key, good.key),
    ):
        with pytest.raises(ConfigurationError, match="TLS files") as raised:
            ReloadingContext.for_server(config)
        assert config.key in str(raised.value)
