"""Conditions that read as Python: `version("k") == 0`, `value("k") != b"x"`.

Each function names one attribute of one key; comparing it builds a `Compare`.
"""

from __future__ import annotations

from typing import ClassVar

from quorate.store.types import Compare, CompareOperator, CompareTarget


class Attribute:
    """One attribute of one key, waiting to be compared.

    It is not a value: its comparisons build conditions and have no truth of their own.
    """

    __slots__ = ("_key", "_target")
    __hash__: ClassVar[None]  # type: ignore[assignment]  # a condition builder has no identity to hash

    def __init__(self, key: bytes, target: CompareTarget) -> None:
        self._key = key
        self._target = target

    def _compare(self, operator: CompareOperator, operand: int | bytes | str) -> Compare:
        if self._target is CompareTarget.VALUE:
            if isinstance(operand, int):
                raise TypeError("a value is compared with bytes or text, not with a number")
            operand = operand.encode() if isinstance(operand, str) else operand
        elif not isinstance(operand, int):
            raise TypeError(f"{self._target.name.lower()} is compared with a number")
        return Compare(self._key, self._target, operator, operand)

    def __eq__(self, operand: int | bytes | str) -> Compare:  # type: ignore[override]  # builds a condition
        return self._compare(CompareOperator.EQUAL, operand)

    def __ne__(self, operand: int | bytes | str) -> Compare:  # type: ignore[override]  # builds a condition
        return self._compare(CompareOperator.NOT_EQUAL, operand)

    def __lt__(self, operand: int | bytes | str) -> Compare:
        return self._compare(CompareOperator.LESS, operand)

    def __gt__(self, operand: int | bytes | str) -> Compare:
        return self._compare(CompareOperator.GREATER, operand)


def _key(key: str | bytes) -> bytes:
    return key.encode() if isinstance(key, str) else key


def value(key: str | bytes) -> Attribute:
    """The key's value; false for an absent key whatever the comparison."""
    return Attribute(_key(key), CompareTarget.VALUE)


def version(key: str | bytes) -> Attribute:
    """How often the key was written since it was created; 0: the key is absent."""
    return Attribute(_key(key), CompareTarget.VERSION)


def create_revision(key: str | bytes) -> Attribute:
    """The revision that created the key; 0: the key is absent."""
    return Attribute(_key(key), CompareTarget.CREATE_REVISION)


def mod_revision(key: str | bytes) -> Attribute:
    """The revision that wrote the key last; 0: the key is absent."""
    return Attribute(_key(key), CompareTarget.MOD_REVISION)


def lease(key: str | bytes) -> Attribute:
    """The id of the lease that the key is attached to; 0: none."""
    return Attribute(_key(key), CompareTarget.LEASE)
