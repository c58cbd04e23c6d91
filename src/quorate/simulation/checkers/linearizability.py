"""Whether each key behaved as if its operations had happened one by one.

Wing and Gong's search with Lowe's memory of configurations, on the linked list of calls and
returns that Porcupine uses. Law: what it accepts has an order, what it refuses has none, and
where its budget ends it says so. Four rules leave out only what cannot matter:

- An operation that leaves the state as it is and can be placed is placed, without looking back.
- Writes that told their revisions are placed in the order of these. A write with an unknown
  outcome told its revision if somebody read its value, and then certainly happened.
- Other writes with an unknown outcome ask for the same if they are of one kind and expect the
  same revision: the first of them that can be placed stands for all.
- Such a write is placed only where the next one needs it. Overwritten unseen, it could as
  well not have happened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from quorate.simulation.checkers.register import ABSENT, OPEN, State, Step, step
from quorate.simulation.checkers.sentences import described, first_few, text
from quorate.simulation.evidence import Operation, OperationKind, Outcome

BUDGET: Final = 100_000
"""Configurations looked at for one key: about two seconds."""

_NEVER: Final = 1 << 63


class Linearizability(msgspec.Struct, frozen=True):
    """One sentence per key that cannot be explained, and per key that took too long to tell."""

    violations: list[str]
    undecided: list[str]


def check_linearizability(
    operations: Sequence[Operation], *, budget: int = BUDGET
) -> Linearizability:
    """Look for an order of the operations on each key that explains what their callers saw.

    An operation takes effect between its call and its return; with an unknown outcome at any
    time after its call, or never. Times that are equal do not order two clients, but do order
    the calls of one. Keys are absent at first, and values are unique.
    """
    keys: dict[bytes, list[Operation]] = {}
    for operation in operations:
        keys.setdefault(operation.key, []).append(operation)
    violations: list[str] = []
    undecided: list[str] = []
    for key, of_key in keys.items():
        search = _Search(of_key)
        found = search.explains(budget)
        if found is None:
            undecided.append(
                f"the order of {len(of_key)} operations on {text(key)} is undecided "
                f"after {budget} configurations"
            )
        elif not found:
            violations.append(search.obstacle())
    return Linearizability(first_few(violations), undecided)


class _Call:
    """One operation in the search. `after` are those that must be placed before it."""

    __slots__ = ("after", "bit", "operation", "places", "returned", "taken", "writes")

    def __init__(self, operation: Operation, taken: Step, returned: int, bit: int) -> None:
        self.operation = operation
        self.taken = taken
        self.returned = max(returned, operation.called)
        self.bit = bit
        self.after = 0
        self.places: tuple[int, ...] = ()
        self.writes = taken.succeeded and taken.kind is not OperationKind.GET


class _Timeline:
    """The calls and returns in the order of time, as a list from which calls can be lifted.

    Places 1 to `end` - 1 are the entries; 0 stands before, `end` behind them. At one time,
    calls come first.
    """

    def __init__(self, calls: Sequence[_Call]) -> None:
        entries = [(call.operation.called, 0, number) for number, call in enumerate(calls)]
        entries += [(call.returned, 1, number) for number, call in enumerate(calls)]
        entries.sort()
        for place, (_, is_return, number) in enumerate(entries, 1):
            call = calls[number]
            call.places = (call.places[0], place) if is_return else (place, 0)
        self.calls = [calls[number] for _, _, number in entries]
        self.end = len(entries) + 1
        self._following = list(range(1, self.end + 2))
        self._preceding = list(range(-1, self.end))

    @property
    def is_empty(self) -> bool:
        return self._following[0] == self.end

    def until_return(self) -> tuple[list[_Call], _Call]:
        """Return the calls before the first return, and the call which that belongs to."""
        window: list[_Call] = []
        place = self._following[0]
        while True:
            call = self.calls[place - 1]
            if place == call.places[1]:
                return window, call
            window.append(call)
            place = self._following[place]

    def lift(self, call: _Call) -> None:
        """Take a call and its return out, if it is one of these."""
        for place in call.places:
            before, after = self._preceding[place], self._following[place]
            self._following[before], self._preceding[after] = after, before

    def unlift(self, call: _Call) -> None:
        """Put the call that was lifted last back where it was."""
        for place in reversed(call.places):
            self._following[self._preceding[place]] = place
            self._preceding[self._following[place]] = place


class _Configuration(NamedTuple):
    """What is placed, what it makes of the key, and the state without the last if that is owed.

    A write with an unknown outcome owes that the next step could not do without it.
    """

    placed: int
    state: State
    without: State | None


_Choice = tuple[_Call, _Configuration]


class _Search:
    """The search for one key."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._certain, self._possible = _calls(operations)
        self._timeline = _Timeline(self._certain)
        self._furthest = (-1, -1)
        self._obstacle: tuple[_Call, _Configuration] | None = None

    def explains(self, budget: int) -> bool | None:
        """Return whether there is an order; None when the budget did not suffice."""
        here = _Configuration(0, ABSENT, None)
        choices = self._choices(here)
        trail: list[tuple[_Call, Iterator[_Choice]]] = []
        known = {here}
        while not self._timeline.is_empty:
            choice = next(choices, None)
            if choice is None:
                if not trail:
                    return False
                call, choices = trail.pop()
                self._timeline.unlift(call)
                continue
            call, here = choice
            if here in known:
                continue
            if len(known) > budget:
                return None
            known.add(here)
            trail.append((call, choices))
            self._timeline.lift(call)
            choices = self._choices(here)
        return True

    def obstacle(self) -> str:
        """Say which operation ended the longest part of the history that has an order."""
        assert self._obstacle is not None
        call, reached = self._obstacle
        said = f"no order of the operations on {text(call.operation.key)} explains "
        said += described(call.operation)
        for other in self._certain:
            if other.bit & call.after & ~reached.placed and other.writes and call.writes:
                return f"{said}: before it must come {described(other.operation)}"
        count = reached.placed.bit_count()
        return f"{said}: the {count} that fit before it leave the key {_named(reached.state)}"

    def _choices(self, here: _Configuration) -> Iterator[_Choice]:
        """Iterate over what may be placed next: all that was called before the first return."""
        if self._timeline.is_empty:
            return iter(())
        choices: list[_Choice] = []
        window, blocked = self._timeline.until_return()
        for call in window:
            after = _placed(here, call)
            if after is not None:
                choice = call, _Configuration(here.placed | call.bit, after, None)
                if after == here.state:
                    return iter([choice])
                choices.append(choice)
        furthest = (blocked.places[1], here.placed.bit_count())
        if here.without is None and furthest > self._furthest:
            self._furthest, self._obstacle = furthest, (blocked, here)
        choices.extend(self._suppositions(here, blocked.returned))
        return iter(choices)

    def _suppositions(self, here: _Configuration, until: int) -> Iterator[_Choice]:
        """Iterate over the writes of unknown outcome that may have happened here."""
        for alike in self._possible:
            for call in alike:
                if call.operation.called > until:
                    break
                if call.bit & here.placed or call.after & ~here.placed:
                    continue
                # Two such writes in a row that end in an absent key: better none of them.
                vain = here.without is not None and call.taken.kind is OperationKind.DELETE
                after = None if vain else _placed(here, call)
                if after is not None:
                    yield call, _Configuration(here.placed | call.bit, after, here.state)
                break


def _placed(here: _Configuration, call: _Call) -> State | None:
    """Return the state after a call is placed, or None if it may not be."""
    if call.after & ~here.placed:
        return None
    after = step(here.state, call.taken)
    if after is None or here.without is None or not call.writes:
        return after
    return after if step(here.without, call.taken) is None else None


def _calls(operations: Sequence[Operation]) -> tuple[list[_Call], list[list[_Call]]]:
    """Return what certainly happened, and what may have, by what it would do."""
    revisions = {
        operation.found: operation.revision
        for operation in operations
        if _is_told(operation) and operation.kind is OperationKind.GET and operation.revision > 0
    }
    certain: list[_Call] = []
    possible: dict[tuple[OperationKind, int], list[_Call]] = {}
    calls: list[_Call] = []
    bit = 1
    for operation in sorted(operations, key=lambda each: each.called):
        kind = operation.kind
        if _is_told(operation):
            returned = operation.returned if operation.returned >= 0 else _NEVER
            call = _Call(operation, Step.told(operation), returned, bit)
            certain.append(call)
        elif operation.outcome is Outcome.FAILED or kind is OperationKind.GET:
            continue
        else:
            is_seen = kind is not OperationKind.DELETE and operation.value in revisions
            revision = revisions[operation.value] if is_seen else OPEN
            call = _Call(operation, Step.supposed(operation, revision), _NEVER, bit)
            if is_seen:
                certain.append(call)
            else:
                expected = operation.expected if kind is OperationKind.SWAP else 0
                possible.setdefault((kind, expected), []).append(call)
        calls.append(call)
        bit <<= 1
    _order_by_revision(certain)
    _order_by_client(calls)
    return certain, list(possible.values())


def _is_told(operation: Operation) -> bool:
    return operation.outcome is Outcome.OK


def _order_by_revision(certain: Sequence[_Call]) -> None:
    writes = sorted((call for call in certain if call.writes), key=lambda call: call.taken.revision)
    for before, call in pairwise(writes):
        call.after |= before.bit


def _order_by_client(calls: Sequence[_Call]) -> None:
    """A client's call at the very moment of its earlier return comes after that."""
    returned: dict[tuple[str, int], list[_Call]] = {}
    for call in calls:
        client, called = call.operation.client, call.operation.called
        for earlier in returned.get((client, called), ()):
            if earlier.operation.called < called:
                call.after |= earlier.bit
        returned.setdefault((client, call.returned), []).append(call)


def _named(state: State) -> str:
    if state.revision:
        at = "an untold revision" if state.revision == OPEN else f"revision {state.revision}"
        return f"with {text(state.value)} at {at}"
    return f"absent since revision {state.floor}" if state.floor else "absent"
