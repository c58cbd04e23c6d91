"""The Raft node among its kind, without any world around it."""

from __future__ import annotations

import pytest
from tests.protocol.raft.network import MILLISECOND, Network, Node, member

from quorate.protocol.raft import Role
from quorate.protocol.raft.configuration import AddLearner, Promote, Remove
from quorate.protocol.raft.events import Disconnected, ProposeChange, Read, Transfer


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_cluster_elects_one_leader_and_commits(size: int) -> None:
    network = Network(seed=size, size=size)
    leader = network.elect()
    for ticket in range(1, 21):
        network.propose(leader, ticket)
    network.run_until(
        lambda: all(len(network.values(node)) == 20 for node in network.nodes.values())
    )


def test_a_node_that_hears_its_leader_does_not_help_to_depose_it() -> None:
    network = Network(seed=1)
    leader = network.elect()
    term = leader.raft.term
    outsider = next(node for node in network.nodes.values() if node is not leader)
    network.cut = {(leader.id, outsider.id)}
    network.run(2000 * MILLISECOND)
    assert leader.raft.role is Role.LEADER
    assert leader.raft.term == term, "pre-vote raises no term"


def test_a_leader_without_quorum_steps_down() -> None:
    network = Network(seed=2)
    leader = network.elect()
    network.cut = {(leader.id, n) for n in network.nodes} | {(n, leader.id) for n in network.nodes}
    network.run_until(lambda: leader.raft.role is not Role.LEADER)
    network.heal()
    assert network.elect() is not None


def test_an_uncommitted_tail_is_replaced() -> None:
    network = Network(seed=3)
    old = network.elect()
    network.cut = {(old.id, n) for n in network.nodes} | {(n, old.id) for n in network.nodes}
    network.propose(old, 100)
    network.run_until(
        lambda: (found := network.leader()) is not None and found is not old and found.raft.ready
    )
    fresh = network.leader()
    assert fresh is not None
    network.propose(fresh, 7)
    network.heal()
    network.run_until(lambda: network.values(old) == [b"7"])


def test_losing_the_connection_to_a_dead_leader_elects_at_once() -> None:
    network = Network(seed=4)
    leader = network.elect()
    network.run(50 * MILLISECOND)
    leader.crash()
    start = network.now
    for node in network.nodes.values():
        if node.alive:
            node.step(Disconnected(network.now, leader.id))
    network.run_until(
        lambda: any(n.alive and n.raft.role is Role.LEADER for n in network.nodes.values())
    )
    assert network.now - start < 200 * MILLISECOND


def test_a_read_waits_for_a_quorum_round() -> None:
    network = Network(seed=5)
    leader = network.elect()
    network.propose(leader, 1)
    leader.step(Read(network.now, 1))
    assert not network.ready_reads, "no quorum has answered yet"
    network.run_until(lambda: bool(network.ready_reads))
    follower = next(node for node in network.nodes.values() if node is not leader)
    network.run_until(lambda: follower.raft.leader == leader.id)
    follower.step(Read(network.now, 2))
    network.run_until(lambda: any(read[1] == 2 for read in network.ready_reads))


def test_a_cut_off_leader_answers_no_read() -> None:
    network = Network(seed=6)
    leader = network.elect()
    network.cut = {(leader.id, n) for n in network.nodes} | {(n, leader.id) for n in network.nodes}
    leader.step(Read(network.now, 1))
    network.run(1000 * MILLISECOND)
    assert not network.ready_reads


def test_leadership_is_handed_over() -> None:
    network = Network(seed=7)
    leader = network.elect()
    target = next(node for node in network.nodes.values() if node is not leader)
    leader.step(Transfer(network.now, target.id))
    network.run_until(lambda: target.raft.role is Role.LEADER)


def test_members_are_added_promoted_and_removed() -> None:
    network = Network(seed=8)
    leader = network.elect()
    fresh = network.add(4)
    leader.step(ProposeChange(network.now, 1, AddLearner(member(4))))
    network.run_until(lambda: len(fresh.applied) > 1)
    leader.step(ProposeChange(network.now, 2, Promote(4)))
    network.run_until(lambda: fresh.raft.configuration.voters == (1, 2, 3, 4))
    network.run_until(lambda: not leader.raft.configuration.joint)
    network.run(100 * MILLISECOND)
    leader.step(ProposeChange(network.now, 3, Remove(leader.id)))
    network.run_until(lambda: leader.raft.role is not Role.LEADER)
    network.run_until(
        lambda: (found := network.leader()) is not None and found is not leader and found.raft.ready
    )
    found = network.leader()
    assert found is not None
    assert leader.id not in found.raft.configuration.voters


def test_a_follower_behind_the_log_gets_the_snapshot() -> None:
    network = Network(seed=9)
    leader = network.elect()
    behind = next(node for node in network.nodes.values() if node is not leader)
    behind.crash()
    for ticket in range(1, 31):
        network.propose(leader, ticket)
    network.run_until(lambda: len(network.values(leader)) == 30)
    leader.snapshot()
    network.propose(leader, 31)
    behind.start()
    network.run_until(lambda: len(network.values(behind)) == 31)


def disturb(network: Network, action: int, node: Node) -> None:
    """Do one thing that goes wrong in real life, or mend one."""
    rng = network.random
    if action == 0:
        node.crash()
    elif action == 1 and not node.alive:
        node.start()
    elif action == 2:
        network.cut ^= {(node.id, rng.choice(list(network.nodes)))}
    elif action == 3:
        network.cut.clear()
    elif action == 4 and node.alive:
        node.snapshot(keep=rng.randrange(5))


def propose_some(network: Network, action: int, ticket: int) -> int:
    """Let the leader, if there is one, propose a few values or hand over."""
    leader = network.leader()
    if leader is not None:
        for _ in range(network.random.randrange(6)):
            ticket += 1
            network.propose(leader, ticket)
        if action == 5:
            leader.step(Transfer(network.now, 0))
    return ticket


@pytest.mark.parametrize("seed", range(200))
def test_safety_holds_under_faults_and_everything_heals(seed: int) -> None:
    network = Network(seed, size=3 if seed % 2 else 5)
    rng = network.random
    ticket = 0
    for _ in range(60):
        network.loss = rng.choice([0.0, 0.1, 0.4])
        action = rng.randrange(8)
        disturb(network, action, network.nodes[rng.choice(list(network.nodes))])
        ticket = propose_some(network, action, ticket)
        network.run(rng.randrange(120) * MILLISECOND)
    network.heal()
    # A proposal may meet a leader that is just handing over, so it is made until it is seen.
    for _ in range(20):
        network.propose(network.elect(), 10**6)
        network.run(500 * MILLISECOND)
        if all(b"1000000" in network.values(node) for node in network.nodes.values()):
            break
    network.run(1000 * MILLISECOND)
    histories = {tuple(network.values(node)) for node in network.nodes.values()}
    assert len(histories) == 1
    assert b"1000000" in histories.pop()
