"""A disk in memory that does what real disks do to programs that trust them.

The model. A file's bytes and a directory's names each have two versions: the one that the
running program sees, and the one that survives a power cut. `sync` carries a file's bytes
over, `sync_directory` a directory's names. At a crash every sector of 512 bytes that was
written since then survives or not, each by its own draw, in any order; changes of names
survive as a prefix, because journals keep their order; a truncation or an extension is one
change among the writes of its file. Directories themselves are durable at once.

Faults are planned by `fail` (the disk says no), `capacity` (the disk is full), `lose_power`
(the program stops between two operations), `misdirect` (a write lands elsewhere), `flip` and
`cut` (the disk forgets). Chance comes from the draw that is passed to `crash`, and `chance`
makes one from a seed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from quorate.runtime.ports import File

SECTOR_BYTES = 512

Draw = Callable[[], bool]
"""Decides whether one unsynced sector or change survives the crash."""


def chance(seed: int, likelihood: float = 0.5) -> Draw:
    """A draw that says yes so often, and the same for the same seed."""
    generator = Random(seed)  # noqa: S311  it must repeat
    return lambda: generator.random() < likelihood


class PowerLost(BaseException):
    """The program stops here. Not an Exception, for nothing may handle it."""


class _Write(NamedTuple):
    offset: int
    data: bytes


class _Resize(NamedTuple):
    size: int


class _Inode:
    """A file without a name: what is seen, what is durable, and what lies between."""

    def __init__(self, path: str, durable: bytes = b"") -> None:
        self.path = path
        self.seen = bytearray(durable)
        self.durable = bytearray(durable)
        self.unsynced: list[_Write | _Resize] = []

    def write(self, offset: int, data: bytes, shift: int = 0) -> None:
        self.unsynced.append(_Write(max(0, offset + shift), data))
        _overwrite(self.seen, offset, data)

    def resize(self, size: int) -> None:
        self.unsynced.append(_Resize(size))
        _resize(self.seen, size)

    def sync(self) -> None:
        for change in self.unsynced:
            if isinstance(change, _Write):
                _overwrite(self.durable, change.offset, change.data)
            else:
                _resize(self.durable, change.size)
        self.unsynced.clear()

    def after_crash(self, survives: Draw) -> _Inode:
        content = bytearray(self.durable)
        for change in self.unsynced:
            if isinstance(change, _Resize):
                if survives():
                    _resize(content, change.size)
                continue
            for offset, piece in _sectors(change):
                if survives():
                    _overwrite(content, offset, piece)
        return _Inode(self.path, bytes(content))


class _Directory:
    """Names of inodes. None in a change stands for a name that goes away."""

    def __init__(self, names: dict[str, _Inode] | None = None) -> None:
        self.seen = dict(names or {})
        self.durable = dict(names or {})
        self.unsynced: list[dict[str, _Inode | None]] = []

    def change(self, change: dict[str, _Inode | None]) -> None:
        self.unsynced.append(change)
        _rename(self.seen, change)

    def sync(self) -> None:
        for change in self.unsynced:
            _rename(self.durable, change)
        self.unsynced.clear()

    def after_crash(self, survives: Draw) -> dict[str, _Inode]:
        names = dict(self.durable)
        for change in self.unsynced:
            if not survives():
                break
            _rename(names, change)
        return names


class _Fault(NamedTuple):
    operation: str
    error_number: int
    path_part: str


class VirtualFile:
    """An open file of a `VirtualFiles`; the `File` port."""

    def __init__(self, files: VirtualFiles, inode: _Inode) -> None:
        self._files = files
        self._inode = inode
        self._closed = False

    def write(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`; raises OSError."""
        try:
            self._use("write")
        except OSError:
            # Everything but the end arrived: the worst that a failed write can leave.
            self._inode.write(offset, data[:-8])
            raise
        taken = self._files.space_for(max(0, offset + len(data) - len(self._inode.seen)))
        room = len(self._inode.seen) + taken - offset
        if room < len(data):
            # A full disk takes what still fits, and only then says no.
            if room > 0:
                self._inode.write(offset, data[:room])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._inode.path)
        self._inode.write(offset, data, self._files.take_shift(self._inode.path))
        # Power that is lost during the write leaves the sectors of it to the draw.
        self._files.spend_power()

    def read(self, offset: int, size: int) -> bytes:
        """Read up to `size` bytes at `offset`."""
        assert not self._closed, f"{self._inode.path} is closed"
        self._files.meet_fault("read", self._inode.path)
        return bytes(self._inode.seen[offset : offset + size])

    def size(self) -> int:
        """Return the size in bytes."""
        return len(self._inode.seen)

    def truncate(self, size: int) -> None:
        """Cut or extend (with zeros) to `size` bytes."""
        self._use("truncate")
        self._inode.resize(size)

    def sync(self) -> None:
        """Make all written data durable; raises OSError."""
        try:
            self._use("sync")
        except OSError:
            # The pages stay, marked clean: a second sync would succeed without them.
            self._inode.unsynced.clear()
            raise
        self._inode.sync()
        self._files.sync_count += 1

    def close(self) -> None:
        """Close; never syncs."""
        self._closed = True

    def _use(self, operation: str) -> None:
        assert not self._closed, f"{self._inode.path} is closed"
        self._files.spend_power()
        self._files.meet_fault(operation, self._inode.path)


class VirtualFiles:
    """The `Files` port on a disk in memory."""

    def __init__(self) -> None:
        self.capacity: int | None = None
        """Bytes that all files may have together; None is without limit."""
        self.sync_count = 0
        self.operations = 0
        """How many changing operations were begun or finished: the points of a power cut."""
        self._directories: dict[str, _Directory] = {}
        self._faults: list[_Fault] = []
        self._shifts: list[tuple[str, int]] = []
        self._power: int | None = None
        self._locks: set[str] = set()

    def open(self, path: str) -> File:
        """Open for reading and writing; raises FileNotFoundError."""
        inode = self._find(path)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return VirtualFile(self, inode)

    def create(self, path: str) -> File:
        """Create or empty a file and open it."""
        self._change("create", path)
        inode = self._find(path)
        if inode is None:
            directory, name = _split(path)
            inode = _Inode(path)
            self._directories[directory].change({name: inode})
        else:
            inode.resize(0)
        return VirtualFile(self, inode)

    def exists(self, path: str) -> bool:
        """Tell whether the path names a file or directory."""
        return path in self._directories or self._find(path) is not None

    def list(self, directory: str) -> Sequence[str]:
        """Return the sorted names in a directory."""
        found = self._directories.get(directory)
        return sorted(found.seen) if found is not None else []

    def make_directory(self, path: str) -> None:
        """Create a directory with its parents."""
        while path and path not in self._directories:
            self._directories[path] = _Directory()
            path, _ = _split(path)

    def rename(self, source: str, target: str) -> None:
        """Replace `target` by `source` atomically."""
        self._change("rename", source)
        inode = self._find(source)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
        directory, old = _split(source)
        target_directory, new = _split(target)
        assert directory == target_directory, "a rename stays in its directory"
        self._directories[directory].change({old: None, new: inode})
        inode.path = target

    def remove(self, path: str) -> None:
        """Remove a file; fine when there is none."""
        self._change("remove", path)
        if self._find(path) is not None:
            directory, name = _split(path)
            self._directories[directory].change({name: None})

    def sync_directory(self, path: str) -> None:
        """Make the changes of names in a directory durable."""
        self._change("sync_directory", path)
        self._directories[path].sync()

    def lock(self, path: str) -> Callable[[], None]:
        """Take an exclusive lock; raises BlockingIOError when it is taken."""
        if path in self._locks:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)
        self._locks.add(path)
        return lambda: self._locks.discard(path)

    def fail(self, operation: str, error_number: int, path_part: str = "") -> None:
        """Let the next such operation on a path with this part in it fail, once.

        A sync that fails leaves its writes seen but not durable, and forgets that they are
        not: the next sync succeeds without them, as Linux does.
        """
        self._faults.append(_Fault(operation, error_number, path_part))

    def misdirect(self, path_part: str, shift: int) -> None:
        """Let the next write to such a path land `shift` bytes away on the disk.

        The program goes on to see what it wrote, until the next crash.
        """
        self._shifts.append((path_part, shift))

    def take_shift(self, path: str) -> int:
        """Return how far from its place the write that happens now lands."""
        for planned in self._shifts:
            if planned[0] in path:
                self._shifts.remove(planned)
                return planned[1]
        return 0

    def lose_power(self, operations: int) -> None:
        """Raise PowerLost after so many further operation points."""
        self._power = operations

    def calm(self) -> None:
        """Forget the faults that were planned and did not strike, and the limit of space."""
        self.capacity = None
        self._faults.clear()
        self._shifts.clear()

    def revive(self) -> None:
        """The program that used the disk is gone, and its locks with it."""
        self._locks.clear()
        self._power = None

    def crash(self, survives: Draw) -> VirtualFiles:
        """Return the disk as it is after a power cut: without faults, limits or locks."""
        after = VirtualFiles()
        inodes: dict[int, _Inode] = {}
        for path, directory in sorted(self._directories.items()):
            names = {}
            for name, inode in sorted(directory.after_crash(survives).items()):
                if id(inode) not in inodes:
                    inodes[id(inode)] = inode.after_crash(survives)
                names[name] = inodes[id(inode)]
            after._directories[path] = _Directory(names)
        return after

    def copy(self) -> VirtualFiles:
        """Return the disk as the program sees it, all of it durable."""
        after = VirtualFiles()
        for path, directory in self._directories.items():
            names = {
                name: _Inode(inode.path, bytes(inode.seen))
                for name, inode in directory.seen.items()
            }
            after._directories[path] = _Directory(names)
        return after

    def flip(self, path: str, bit: int) -> None:
        """Turn one bit of a file over, durably."""
        inode = self._must_find(path)
        for content in (inode.seen, inode.durable):
            content[bit // 8] ^= 1 << bit % 8

    def cut(self, path: str, size: int) -> None:
        """Shorten a file, durably."""
        inode = self._must_find(path)
        for content in (inode.seen, inode.durable):
            del content[size:]

    def content(self, path: str) -> bytes:
        """Return what the program would read."""
        return bytes(self._must_find(path).seen)

    def paths(self) -> Sequence[str]:
        """Return the paths of all files."""
        return sorted(
            f"{at}/{name}" for at, found in self._directories.items() for name in found.seen
        )

    @property
    def used(self) -> int:
        """Bytes that all files have together."""
        return sum(
            len(inode.seen)
            for directory in self._directories.values()
            for inode in directory.seen.values()
        )

    def space_for(self, growth: int) -> int:
        """Return how many of `growth` bytes the disk still takes."""
        if self.capacity is None:
            return growth
        return min(growth, max(0, self.capacity - self.used))

    def spend_power(self) -> None:
        """Count a point at which the power can go; raises PowerLost."""
        self.operations += 1
        if self._power is not None:
            if self._power == 0:
                raise PowerLost
            self._power -= 1

    def meet_fault(self, operation: str, path: str) -> None:
        """Raise the planned OSError for this operation, if there is one."""
        for fault in self._faults:
            if fault.operation == operation and fault.path_part in path:
                self._faults.remove(fault)
                raise OSError(fault.error_number, os.strerror(fault.error_number), path)

    def _change(self, operation: str, path: str) -> None:
        self.spend_power()
        self.meet_fault(operation, path)

    def _find(self, path: str) -> _Inode | None:
        directory, name = _split(path)
        found = self._directories.get(directory)
        return found.seen.get(name) if found is not None else None

    def _must_find(self, path: str) -> _Inode:
        inode = self._find(path)
        assert inode is not None, f"no file {path}"
        return inode


def _split(path: str) -> tuple[str, str]:
    directory, _, name = path.rpartition("/")
    return directory, name


def _sectors(write: _Write) -> Iterator[tuple[int, bytes]]:
    """Cut a write at the sector boundaries of the file."""
    offset, data = write
    while data:
        count = SECTOR_BYTES - offset % SECTOR_BYTES
        yield offset, data[:count]
        offset, data = offset + count, data[count:]


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _overwrite(content: bytearray, offset: int, data: bytes) -> None:
    if offset > len(content):
        _resize(content, offset)
    content[offset : offset + len(data)] = data


def _rename(names: dict[str, _Inode], change: dict[str, _Inode | None]) -> None:
    for name, inode in change.items():
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode
