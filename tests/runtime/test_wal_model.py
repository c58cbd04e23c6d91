"""The log agrees with a dictionary, whatever is appended and whenever the power goes."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.protocol.raft.messages import Entry, HardState
from quorate.runtime.wal import GroupWrite, RecoveredGroup
from quorate.simulation.disk import PowerLost, VirtualFiles

from .wal_cases import entries, open_wal


class Model:
    """A group as a dictionary: the simplest thing that the log must agree with."""

    def __init__(self) -> None:
        self.state = HardState()
        self.snapshot = (0, 0)
        self.entries: dict[int, Entry] = {}
        self.released = 1

    @property
    def last(self) -> int:
        return max(self.entries, default=self.snapshot[0])

    def copy(self) -> Model:
        other = Model()
        other.__dict__.update(self.__dict__, entries=dict(self.entries))
        return other

    def apply(self, write: GroupWrite) -> None:
        if write.hard_state is not None:
            self.state = write.hard_state
        if write.truncate_from:
            self.entries = {i: e for i, e in self.entries.items() if i < write.truncate_from}
        if write.snapshot is not None and write.snapshot[0] > self.snapshot[0]:
            if write.snapshot[0] > self.last:
                self.entries = {}
            self.snapshot = write.snapshot
        for new in write.entries:
            self.entries = {i: e for i, e in self.entries.items() if i < new.index}
            self.entries[new.index] = new

    def agrees(self, held: RecoveredGroup) -> bool:
        first = held.entries[0].index if held.entries else held.snapshot[0] + 1
        expected = [self.entries[i] for i in sorted(self.entries) if i >= first]
        commit = min(self.state.commit, self.last)
        return (
            held.hard_state == HardState(self.state.term, self.state.vote, commit)
            and held.snapshot == self.snapshot
            and held.entries == expected
            and first <= max(self.released, min(self.entries, default=first))
        )


@st.composite
def group_writes(draw: st.DrawFn, group: int, model: Model) -> GroupWrite:
    kind = draw(
        st.sampled_from(["append", "append", "append", "replace", "truncate", "vote", "mark"])
    )
    term = model.state.term + draw(st.integers(0, 1))
    state = HardState(term, draw(st.integers(0, 3)), draw(st.integers(0, model.last + 2)))
    floor = model.snapshot[0] + 1
    size = draw(st.sampled_from([1, 20, 300, 1500]))
    count = draw(st.integers(1, 4))
    if kind == "append":
        start = model.last + 1
        return GroupWrite(group, state, entries(start, start + count, term, b"z" * size))
    if kind == "replace":
        start = draw(st.integers(floor, model.last + 1))
        return GroupWrite(group, state, entries(start, start + count, term, b"r" * size))
    if kind == "truncate":
        return GroupWrite(group, truncate_from=draw(st.integers(floor, model.last + 1)))
    if kind == "mark":
        return GroupWrite(group, snapshot=(draw(st.integers(floor, model.last + 5)), term))
    return GroupWrite(group, state)


class Trial:
    """A log, the disk under it, and the models of its groups."""

    def __init__(self, segment_bytes: int, seed: int) -> None:
        self.segment_bytes = segment_bytes
        self.generator = Random(seed)
        self.files = VirtualFiles()
        self.models: dict[int, Model] = {}
        self.wal, _ = open_wal(self.files, segment_bytes)

    def prepare(self, _: st.DataObject) -> None:
        self.wal.prepare_next()

    def release(self, data: st.DataObject) -> None:
        for group in data.draw(st.sets(st.sampled_from(sorted(self.models)))):
            model = self.models[group]
            below = data.draw(st.integers(1, model.snapshot[0] + 1))
            model.released = max(model.released, below)
            self.wal.release(group, below)

    def rewrite(self, data: st.DataObject) -> None:
        group = data.draw(st.sampled_from(sorted(self.models)))
        model = self.models[group]
        tail = [model.entries[i] for i in sorted(model.entries) if i >= model.released]
        self.wal.rewrite(group, model.state, model.snapshot, tail)
        if tail:
            model.released = tail[0].index

    def batch(self, data: st.DataObject) -> None:
        batch, after = self.draw_batch(data)
        self.wal.append(batch)
        self.models = after

    def torn(self, data: st.DataObject) -> None:
        batch, after = self.draw_batch(data)
        self.files.lose_power(data.draw(st.integers(0, 6)))
        acknowledged = True
        try:
            self.wal.append(batch)
        except PowerLost:
            acknowledged = False
        # The batch is there as a whole, or, when nobody was told that it is, not at all.
        self.restart([after] if acknowledged else [self.models, after])

    def crash(self, _: st.DataObject) -> None:
        self.restart([self.models])

    def restart(self, possible: list[dict[int, Model]]) -> None:
        self.files = self.files.crash(lambda: self.generator.random() < 0.5)
        self.wal, groups = open_wal(self.files, self.segment_bytes)
        agreeing = [
            models
            for models in possible
            if models.keys() == groups.keys()
            and all(models[group].agrees(held) for group, held in groups.items())
        ]
        assert agreeing
        self.models = agreeing[-1]

    def draw_batch(self, data: st.DataObject) -> tuple[list[GroupWrite], dict[int, Model]]:
        batch = []
        after = {group: model.copy() for group, model in self.models.items()}
        for group in data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4)):
            write = data.draw(group_writes(group, after.setdefault(group, Model())))
            after[group].apply(write)
            batch.append(write)
        return batch, after


STEPS = [Trial.batch] * 4 + [Trial.release, Trial.rewrite, Trial.prepare, Trial.crash, Trial.torn]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_log_agrees_with_a_dictionary_through_crashes_and_rollovers(
    data: st.DataObject,
) -> None:
    segment_bytes = data.draw(st.sampled_from([512, 1024, 4096]))
    trial = Trial(segment_bytes, data.draw(st.integers(0, 2**32)))
    trial.batch(data)
    for step in data.draw(st.lists(st.sampled_from(STEPS), max_size=25)):
        step(trial, data)
    trial.crash(data)
