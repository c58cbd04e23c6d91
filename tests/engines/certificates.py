"""Throw-away certificates for servers on this machine and their clients."""

from __future__ import annotations

from pathlib import Path

import trustme

from quorate.runtime.transport.tls import TlsConfig


def certificate(authority: trustme.CA, directory: Path, name: str) -> TlsConfig:
    """Write a certificate for 127.0.0.1, good for both sides."""
    issued = authority.issue_cert("127.0.0.1", common_name=name)
    key, chain, trusted = (directory / f"{name}{part}" for part in (".key", ".pem", "-ca.pem"))
    issued.private_key_pem.write_to_path(key)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    authority.cert_pem.write_to_path(trusted)
    return TlsConfig(str(chain), str(key), str(trusted))
