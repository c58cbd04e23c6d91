"""Keys as paths of nodes, and back.

The key `config/db` is the node `/config/db`, under the root that the URL names. A part of a key
that ZooKeeper would not take as a name is written with percent signs, as in URLs; an empty part
is a percent sign alone. A node whose name no key has (`100%`) is not seen.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

_ROOT: Final = "/"
_SYSTEM: Final = "zookeeper"
"""ZooKeeper's own directory, in the root of its tree."""
_REFUSED: Final = re.compile("[%\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff]")
"""What ZooKeeper takes in no name, and the sign that stands for it here."""
_ASCII: Final = frozenset(range(0x20, 0x7F)) - {ord("%")}
_EMPTY: Final = "%"


class Paths:
    """The paths under one root ("" for the root of the tree)."""

    def __init__(self, root: str) -> None:
        self._prefix = root.rstrip("/")

    @property
    def root(self) -> str:
        """The directory of the keys without a slash."""
        return self._prefix or _ROOT

    def of(self, key: bytes) -> str:
        """Return the path of a key."""
        names = [_name(part) for part in key.split(b"/")]
        if names[0] == _SYSTEM and not self._prefix:
            names[0] = f"%{ord(_SYSTEM[0]):02X}{_SYSTEM[1:]}"
        return f"{self._prefix}/{'/'.join(names)}"

    def beginning(self, prefix: bytes) -> str:
        """Return what the paths of the keys with this prefix begin with."""
        directory, slash, name = prefix.rpartition(b"/")
        return (
            self.of(directory) + "/" + (_name(name) if name else "") if slash else self.of(prefix)
        )

    def directory(self, prefix: bytes) -> str:
        """Return the deepest directory that holds every key with this prefix."""
        parent, slash, _ = prefix.rpartition(b"/")
        return self.of(parent) if slash else self.root

    def key(self, path: str) -> bytes | None:
        """Return the key of a path; None when it is nobody's."""
        names = path.removeprefix(self._prefix).removeprefix(_ROOT).split(_ROOT)
        if not path.startswith(self._prefix) or (names[0] == _SYSTEM and not self._prefix):
            return None
        key = b"/".join(b"" if name == _EMPTY else unquote_to_bytes(name) for name in names)
        return key if self.of(key) == path else None

    def ancestors(self, path: str) -> list[str]:
        """Return the directories above a path, the root's own first."""
        names = path.split(_ROOT)
        return [_ROOT.join(names[:count]) for count in range(2, len(names))]

    def is_above_root(self, path: str) -> bool:
        """Whether a directory is the root of the keys, or above it."""
        return self._prefix == path or self._prefix.startswith(path + _ROOT)


def parent_of(path: str) -> str:
    """Return the directory that a path is in."""
    return path.rpartition(_ROOT)[0] or _ROOT


def _name(part: bytes) -> str:
    if not part:
        return _EMPTY
    if part in (b".", b".."):
        return "%2E" * len(part)
    try:
        name = part.decode()
    except UnicodeDecodeError:
        return "".join(chr(byte) if byte in _ASCII else f"%{byte:02X}" for byte in part)
    return _REFUSED.sub(lambda found: _escaped(found[0]), name)


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())
