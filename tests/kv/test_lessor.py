"""The leader's clock: no lease ends early, none is renewed once its end was proposed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.kv.commands import (
    CheckpointLeases,
    Command,
    ExpireLeases,
    ExpireSessions,
    GrantLease,
    RevokeLease,
)
from quorate.kv.lessor import CHECKPOINT_NS, DUE_MAX, Lessor, RenewResult
from quorate.kv.machine import KeyValueMachine
from quorate.store import Get, Limits, Put

from .cases import LIMITS, copy, entry, envelope, one, run

SECOND = 1_000_000_000
EXTEND = 2 * SECOND
GONE = RenewResult(0)


class Leader:
    """A machine with its lessor; `now` is moved by the test."""

    def __init__(self, machine: KeyValueMachine | None = None, now: int = 0) -> None:
        self.machine = machine or KeyValueMachine(LIMITS)
        self.lessor = Lessor()
        self.now = now
        self.lessor.promote(now, self.machine, EXTEND)

    def do(self, *commands: Command) -> None:
        run(self.machine, *commands)
        self.lessor.sync(self.now)

    def expire(self) -> list[Command]:
        commands = self.lessor.due(self.now)
        self.do(*commands)
        return commands

    def renew(self, lease: int) -> RenewResult:
        return self.lessor.renew(lease, self.now)


def test_a_lease_ends_after_its_ttl_with_its_keys() -> None:
    leader = Leader()
    leader.do(GrantLease(1, 10_000), Put(b"a", b"", 1), Put(b"b", b"", 1))
    assert leader.lessor.next_deadline() == 10 * SECOND
    leader.now = 10 * SECOND - 1
    assert leader.lessor.due(leader.now) == []
    assert leader.lessor.remaining(1, leader.now) == 1
    leader.now += 1
    assert leader.expire() == [ExpireLeases(((1, 1),))]
    assert leader.machine.read([Get(b"a"), Get(b"b")]) == [None, None]
    assert leader.machine.revision == 4
    assert leader.renew(1) == GONE
    assert leader.lessor.remaining(1, leader.now) is None
    assert leader.lessor.next_deadline() is None


def test_a_renewal_counts_from_its_receipt() -> None:
    leader = Leader()
    leader.do(GrantLease(1, 10_000))
    leader.now = 9 * SECOND
    assert leader.renew(1) == RenewResult(10_000)
    leader.now = 18 * SECOND
    assert leader.lessor.due(leader.now) == []
    assert leader.lessor.next_deadline() == 19 * SECOND
    leader.now = 19 * SECOND
    assert leader.expire() == [ExpireLeases(((1, 1),))]


def test_a_lease_whose_end_is_proposed_is_gone_unless_the_proposal_fails() -> None:
    leader = Leader()
    leader.do(GrantLease(1, 10_000))
    leader.now = 10 * SECOND
    proposed = leader.lessor.due(leader.now)
    assert proposed == [ExpireLeases(((1, 1),))]
    assert leader.lessor.due(leader.now) == []
    assert leader.renew(1) == GONE
    assert leader.lessor.remaining(1, leader.now) == 0
    leader.lessor.proposal_failed(proposed, leader.now)
    assert leader.renew(1) == RenewResult(10_000)
    leader.now = 19 * SECOND
    assert leader.lessor.due(leader.now) == []
    leader.now = 20 * SECOND
    assert leader.lessor.due(leader.now) == proposed


def test_an_end_proposed_for_an_older_generation_has_no_effect() -> None:
    leader = Leader()
    leader.do(GrantLease(1, 10_000))
    leader.now = 10 * SECOND
    proposed = leader.lessor.due(leader.now)
    leader.do(CheckpointLeases(((1, 5_000),)))
    leader.do(*proposed)
    assert 1 in leader.machine.lease_table
    assert leader.expire() == [ExpireLeases(((1, 2),))]
    assert 1 not in leader.machine.lease_table


def test_an_id_granted_anew_gets_its_new_ttl() -> None:
    leader = Leader()
    leader.do(GrantLease(1, 1000_000))
    leader.do(RevokeLease(1), GrantLease(1, 5000))
    leader.now = 5 * SECOND
    assert leader.expire() == [ExpireLeases(((1, 2),))]


def test_a_new_leader_extends_every_lease() -> None:
    old = Leader()
    old.do(GrantLease(1, 10_000), GrantLease(2, 20_000))
    old.now = 9 * SECOND
    new = Leader(copy(old.machine), now=1000 * SECOND)
    assert new.lessor.next_deadline() == 1012 * SECOND
    new.now = 1012 * SECOND
    assert new.expire() == [ExpireLeases(((1, 1),))]
    assert new.lessor.remaining(2, new.now) == 10 * SECOND


def test_demoted_it_knows_nothing() -> None:
    leader = Leader()
    leader.do(GrantLease(1, 10_000))
    leader.lessor.demote()
    assert not leader.lessor.leading
    leader.do(GrantLease(2, 10_000))
    assert leader.lessor.due(10**15) == []
    assert leader.lessor.next_deadline() is None
    assert leader.renew(1) == GONE


def test_a_long_lease_is_checkpointed_and_a_renewal_takes_that_back() -> None:
    leader = Leader()
    leader.do(GrantLease(1, 1_000_000))
    leader.now = CHECKPOINT_NS
    proposed = leader.lessor.due(leader.now)
    assert proposed == [CheckpointLeases(((1, 700_000),))]
    reset = CheckpointLeases(((1, 1_000_000),))
    # In flight already counts: it will be applied after this answer.
    assert leader.renew(1).reset == reset
    leader.do(*proposed)
    assert leader.renew(1).reset == reset
    leader.do(reset)
    assert leader.renew(1).reset is None
    known = leader.machine.lease_table.get(1)
    assert known is not None
    assert known.remaining_ms == 0


def test_checkpoints_go_on_and_a_renewed_lease_needs_none() -> None:
    leader = Leader()
    leader.do(GrantLease(1, 1_000_000), GrantLease(2, 250_000))
    seen: list[Command] = []
    while leader.now < 900 * SECOND:
        leader.now += 50 * SECOND
        leader.renew(2)
        seen += leader.expire()
    assert seen == [CheckpointLeases(((1, left),)) for left in (700_000, 400_000, 100_000)]
    leader = Leader()
    leader.do(GrantLease(1, 1_000_000))
    while leader.now < 2000 * SECOND:
        leader.now += 100 * SECOND
        assert leader.renew(1) == RenewResult(1_000_000)
        assert leader.expire() == []


def test_a_checkpoint_of_a_lease_granted_anew_is_corrected() -> None:
    leader = Leader()
    leader.do(GrantLease(1, 1_000_000))
    leader.now = CHECKPOINT_NS
    late = leader.lessor.due(leader.now)
    leader.do(RevokeLease(1), GrantLease(1, 1_000_000))
    leader.do(*late)
    assert leader.expire() == [CheckpointLeases(((1, 0),))]
    known = leader.machine.lease_table.get(1)
    assert known is not None
    assert known.remaining_ms == 0


def test_a_failed_checkpoint_comes_again() -> None:
    leader = Leader()
    leader.do(GrantLease(1, 1_000_000))
    leader.now = CHECKPOINT_NS
    leader.lessor.proposal_failed(leader.lessor.due(leader.now), leader.now)
    leader.now += SECOND
    assert leader.expire() == [CheckpointLeases(((1, 699_000),))]


def test_one_call_is_bounded() -> None:
    leader = Leader()
    leader.do(*(GrantLease(lease, 5000) for lease in range(1, 2501)))
    leader.now = 5 * SECOND
    sizes = []
    while leader.machine.lease_table:
        (command,) = leader.expire()
        assert isinstance(command, ExpireLeases)
        sizes.append(len(command.leases))
    assert sizes == [DUE_MAX, DUE_MAX, 500]


def test_idle_sessions_are_expired() -> None:
    machine = KeyValueMachine(Limits(session_ttl=60.0))
    leader = Leader(machine)

    def write(session: int, sequence: int) -> None:
        data = entry(envelope([Put(b"k", b"")], session=session, birth=1, sequence=sequence))
        machine.apply(machine.applied_index + 1, data)
        leader.lessor.sync(leader.now)

    for session in (5, 6, 7):
        write(session, 1)
    leader.now = 50 * SECOND
    write(6, 2)
    assert leader.lessor.session_active(7, leader.now)
    leader.now = 60 * SECOND
    assert leader.expire() == [ExpireSessions(((5, 1),))]
    assert not leader.lessor.session_active(5, leader.now)
    leader.now = 110 * SECOND
    proposed = leader.lessor.due(leader.now)
    assert proposed == [ExpireSessions(((6, 4), (7, 3)))]
    assert not leader.lessor.session_active(6, leader.now)
    leader.lessor.proposal_failed(proposed, leader.now)
    assert leader.lessor.session_active(6, leader.now)
    leader.now += SECOND
    assert leader.expire() == [ExpireSessions(((7, 3),))]
    assert list(machine.sessions) == [6]


steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "grant",
                "renew",
                "renew",
                "wait",
                "wait",
                "due",
                "apply",
                "fail",
                "revoke",
                "failover",
            ]
        ),
        st.integers(1, 3),
        st.integers(1, 400),
    ),
    max_size=60,
)


class World:
    """What clients were promised, in real time, against what the cluster does."""

    def __init__(self) -> None:
        self.leader = Leader()
        self.promised: dict[int, int] = {}
        self.waiting: list[Command] = []
        self.answers: list[tuple[Command, int, int]] = []

    def settle(self) -> None:
        """Apply what was proposed, in order; then answer the renewals that waited for it."""
        for command in self.waiting:
            before = {lease.id for lease in self.leader.machine.lease_table}
            self.leader.do(command)
            after = {lease.id for lease in self.leader.machine.lease_table}
            for lease in sorted(before - after):
                promised = self.promised.pop(lease, 0)
                if not isinstance(command, RevokeLease):
                    assert self.leader.now >= promised
            for answered, lease, until in self.answers:
                if answered is command and lease in after:
                    self.promise(lease, until)
        self.waiting, self.answers = [], []

    def promise(self, lease: int, until: int) -> None:
        self.promised[lease] = max(until, self.promised.get(lease, 0))

    def grant(self, lease: int, amount: int) -> None:
        self.settle()
        ttl = amount * 5
        if lease not in self.leader.machine.lease_table:
            self.leader.do(GrantLease(lease, ttl * 1000))
            self.promised[lease] = self.leader.now + ttl * SECOND

    def renew(self, lease: int, _amount: int) -> None:
        result = self.leader.renew(lease)
        until = self.leader.now + result.ttl_ms * 1_000_000
        if result.reset is not None:
            self.waiting.append(result.reset)
            self.answers.append((result.reset, lease, until))
        elif result.ttl_ms:
            self.promise(lease, until)

    def wait(self, _lease: int, amount: int) -> None:
        self.leader.now += amount * SECOND

    def due(self, _lease: int, _amount: int) -> None:
        self.waiting += self.leader.lessor.due(self.leader.now)

    def apply(self, _lease: int, _amount: int) -> None:
        self.settle()

    def fail(self, _lease: int, _amount: int) -> None:
        self.leader.lessor.proposal_failed(self.waiting, self.leader.now)
        self.waiting, self.answers = [], []

    def revoke(self, lease: int, _amount: int) -> None:
        self.waiting.append(RevokeLease(lease))

    def failover(self, _lease: int, amount: int) -> None:
        # What was proposed may survive the old leader, and is applied before the new
        # one's term begins.
        if amount % 2:
            self.settle()
        self.waiting, self.answers = [], []
        self.leader = Leader(copy(self.leader.machine), self.leader.now)


@given(steps)
@settings(max_examples=400, deadline=None)
def test_no_lease_ends_before_what_was_promised(schedule: list[tuple[str, int, int]]) -> None:
    world = World()
    for what, lease, amount in schedule:
        getattr(world, what)(lease, amount)
        for held in sorted(world.promised):
            assert held in world.leader.machine.lease_table
    # Nothing is kept for ever either.
    world.settle()
    for _ in range(20):
        world.leader.now += 3000 * SECOND
        world.waiting += world.leader.lessor.due(world.leader.now)
        world.settle()
    assert len(world.leader.machine.lease_table) == 0
    assert world.leader.lessor.next_deadline() is None


def test_a_restart_starts_from_the_table() -> None:
    leader = Leader()
    leader.do(GrantLease(1, 1_000_000))
    one(leader.machine, CheckpointLeases(((1, 4_000),)))
    again = Leader(leader.machine, now=7 * SECOND)
    again.now += 4 * SECOND + EXTEND - 1
    assert again.lessor.due(again.now) == []
    again.now += 1
    assert again.expire() == [ExpireLeases(((1, 2),))]


def test_a_renewal_never_shortens() -> None:
    leader = Leader()
    leader.do(GrantLease(1, 10_000))
    again = Leader(leader.machine)
    again.renew(1)
    assert again.lessor.remaining(1, 5 * SECOND) == 5 * SECOND + EXTEND
