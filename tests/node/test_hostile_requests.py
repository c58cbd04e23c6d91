"""What a client may say after a valid hello, and what no node may die of."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.node.conversation import MEBIBYTE, Conversation, introduce, serving

import quorate
from quorate.engines.cluster import ClusterStore
from quorate.engines.cluster.probe import probe
from quorate.errors import ConnectionLost, LimitExceeded
from quorate.kv.commands import (
    CheckpointLeases,
    Compact,
    Enqueue,
    ExpireLeases,
    ExpireSessions,
    GrantLease,
    Refusal,
    RefusalCode,
    RevokeLease,
    decode_outcomes,
    encode_commands,
)
from quorate.kv.requests import (
    AskMembers,
    AskStatus,
    ChangeMembers,
    CloseWatch,
    Failed,
    KeepAlive,
    OpenWatch,
    ReadAll,
    ReadDone,
    Response,
    Status,
    TimeToLive,
    TransferLeadership,
    Write,
    Written,
    encode,
)
from quorate.protocol.raft import Member, Message
from quorate.protocol.raft.configuration import (
    AddLearner,
    Promote,
    Remove,
    UpdateAddress,
    encode_configuration,
)
from quorate.protocol.raft.messages import (
    AppendRequest,
    CampaignKind,
    Entry,
    EntryKind,
    Heartbeat,
    SnapshotChunk,
    SnapshotIdentity,
    VoteRequest,
)
from quorate.runtime.transport.hello import PROTOCOL_VERSION, Hello, Role
from quorate.store.limits import Limits
from quorate.store.types import (
    Commit,
    Compare,
    CompareOperator,
    CompareTarget,
    Delete,
    DeleteRange,
    Get,
    Operation,
    Put,
    Range,
    ReadConsistency,
    WatchDetail,
    WatchRequest,
)

LAST = 77_777
"""The id of the request that ends a conversation."""


def refusal(response: Response) -> Refusal:
    assert isinstance(response, Failed)
    return response.refusal


def test_a_session_from_the_future_is_refused_and_locks_nobody_out(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as node:
            liar = await introduce(node)
            body = encode_commands([Put(b"k", b"v")])
            answer = await liar.ask(Write(1, 7, 2**64 - 1, 1, 0, body))
            assert refusal(answer).code is RefusalCode.INVALID_REQUEST
            assert isinstance(await liar.ask(Write(2, 7, 1, 1, 0, body)), Written)
            await liar.close()

    asyncio.run(body())


def test_reads_that_fit_no_answer_are_refused(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as node:
            store = ClusterStore([node.config.address], timeout=20)
            await store.put(b"large", bytes(MEBIBYTE))
            caller = await introduce(node)
            many = ReadAll(1, ReadConsistency.LINEARIZABLE, (Get(b"large"),) * 100)
            answer = await caller.ask(many)
            assert refusal(answer).code is RefusalCode.LIMIT_EXCEEDED
            few = ReadAll(2, ReadConsistency.LINEARIZABLE, (Get(b"large"),) * 20)
            assert isinstance(await caller.ask(few), ReadDone)
            # What was done is said to be done, even if what it read can't be told.
            reading: list[Operation] = [Put(b"done", b"x")]
            reading += [Get(b"large")] * 100
            with pytest.raises(quorate.OutcomeUnknown, match="happened at revision"):
                await store.commit(then=reading)
            assert await store.get(b"done") is not None
            await caller.close()
            await store.close()

    asyncio.run(body())


def test_a_watch_that_can_not_be_told_a_revision_ends_with_an_error(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as node:
            store = ClusterStore([node.config.address], timeout=20)
            for number in range(70):
                await store.put(b"large/%d" % number, bytes(MEBIBYTE))
            watch = store.watch(WatchRequest(b"large/", b"large0", detail=WatchDetail.PREVIOUS))
            await watch.opened.wait()
            assert (await store.delete_range(b"large/", b"large0")).deleted == 70
            with pytest.raises(LimitExceeded, match="too much for a watch"):
                async for _ in watch:
                    pass
            await store.put(b"still", b"there")
            await store.close()

    asyncio.run(body())


def test_a_connection_has_a_bounded_number_of_watches(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, limits=Limits(watches_per_connection=3)) as node:
            caller = await introduce(node)
            for number in range(1, 4):
                await caller.ask(OpenWatch(number, WatchRequest(b"k")))
            answer = await caller.ask(OpenWatch(4, WatchRequest(b"k")))
            assert refusal(answer).code is RefusalCode.LIMIT_EXCEEDED
            caller.connection.send(encode(CloseWatch(1)))
            assert not isinstance(await caller.ask(OpenWatch(5, WatchRequest(b"k"))), Failed)
            await caller.close()

    asyncio.run(body())


WRONG_CHANGES = [
    AddLearner(Member(0, "b", "127.0.0.1:1")),
    AddLearner(Member(-1, "b", "127.0.0.1:1")),
    AddLearner(Member(2**63, "b", "127.0.0.1:1")),
    AddLearner(Member(5, "", "127.0.0.1:1")),
    AddLearner(Member(5, "b" * 256, "127.0.0.1:1")),
    AddLearner(Member(5, "b\n", "127.0.0.1:1")),
    AddLearner(Member(5, "b", "nowhere")),
    AddLearner(Member(5, "b", "127.0.0.1:99999")),
    AddLearner(Member(5, "b", "x" * 300 + ":1")),
    UpdateAddress(5, ""),
]


def test_a_change_of_members_that_makes_no_sense_never_enters_the_log(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as node:
            caller = await introduce(node)
            wrong = [encode_configuration(change) for change in WRONG_CHANGES]
            # A name that is no UTF-8, garbage, nothing.
            wrong += [wrong[0].replace(b"\xa1b", b"\xa1\xff"), b"\xc1", b""]
            for number, change in enumerate(wrong):
                answer = await caller.ask(ChangeMembers(number, change))
                assert refusal(answer).code is RefusalCode.INVALID_REQUEST
            await caller.close()
        # What was logged would stop the node now.
        async with serving(tmp_path) as node:
            await (await introduce(node)).close()

    asyncio.run(body())


def test_commands_that_claim_to_be_billions_are_refused_once(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as node:
            caller = await introduce(node)
            answer = await caller.ask(
                Write(1, 0, 0, 0, 0, b"\xdd\xff\xff\xff\xff" + bytes(MEBIBYTE))
            )
            assert isinstance(answer, Written)
            assert len(decode_outcomes(answer.outcomes)) == 1
            too_large = Write(2, 0, 0, 0, 0, bytes(17 * MEBIBYTE))
            assert refusal(await caller.ask(too_large)).code is RefusalCode.LIMIT_EXCEEDED
            await caller.close()

    asyncio.run(body())


numbers = st.one_of(
    st.sampled_from([-(2**63), -1, 0, 1, 2, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1]),
    st.integers(1, 5),
)
ids = st.one_of(st.integers(1, 3), numbers).filter(lambda number: number != LAST)
keys = st.sampled_from([b"", b"f", b"f/1", b"f\xff", b"\xff", b"f" * 5000])
values = st.sampled_from([b"", b"x", bytes(2000)])
texts = st.one_of(st.text(max_size=8), st.sampled_from(["", "a:b", ":1", "[::1]", "x:99999"]))
reads = st.one_of(
    st.builds(Get, keys, numbers),
    st.builds(Range, keys, keys, numbers, numbers, min_mod_revision=numbers),
)
compares = st.builds(
    Compare,
    keys,
    st.sampled_from(CompareTarget),
    st.sampled_from(CompareOperator),
    st.one_of(numbers, values),
    st.one_of(st.none(), keys),
)
plain = st.one_of(
    reads,
    st.builds(Put, keys, values, numbers),
    st.builds(Delete, keys),
    st.builds(DeleteRange, keys.filter(bool), keys),
)
commits: st.SearchStrategy[Commit] = st.deferred(
    lambda: st.builds(
        Commit,
        st.lists(compares, max_size=2).map(tuple),
        st.lists(st.one_of(plain, commits), max_size=2).map(tuple),
        st.lists(plain, max_size=2).map(tuple),
    )
)
pairs = st.lists(st.tuples(numbers, numbers), max_size=2).map(tuple)
commands = st.one_of(
    plain.filter(lambda command: not isinstance(command, Get | Range)),
    commits,
    st.builds(Enqueue, keys, values, numbers),
    st.builds(GrantLease, numbers, numbers),
    st.builds(RevokeLease, numbers),
    st.builds(Compact, numbers),
    st.builds(ExpireLeases, pairs),
    st.builds(CheckpointLeases, pairs),
    st.builds(ExpireSessions, pairs),
)


def nested(depth: int) -> bytes:
    """Encode a commit in a commit in a commit."""
    return b"\x91" + b"\x94\x0f\x90\x91" * depth + b"\x94\x0f\x90\x90\x90" + b"\x90" * depth


bodies = st.one_of(
    st.lists(commands, max_size=3).map(encode_commands),
    st.binary(max_size=40),
    st.sampled_from([nested(9), nested(500), nested(100_000), b"\xdd\xff\xff\xff\xff"]),
)
changes = st.one_of(
    st.binary(max_size=20),
    # Only what can't be done: whoever may change members may also end a cluster.
    st.sampled_from(WRONG_CHANGES).map(encode_configuration),
    st.builds(Promote, numbers).map(encode_configuration),
    st.builds(Remove, numbers).map(encode_configuration),
    st.builds(UpdateAddress, numbers, texts).map(encode_configuration),
)
requests = st.one_of(
    st.builds(Write, ids, numbers, numbers, numbers, numbers, bodies),
    st.builds(
        ReadAll, ids, st.sampled_from(ReadConsistency), st.lists(reads, max_size=3).map(tuple)
    ),
    st.builds(KeepAlive, ids, st.lists(numbers, max_size=3).map(tuple)),
    st.builds(TimeToLive, ids, numbers),
    st.builds(
        OpenWatch,
        ids,
        st.builds(
            WatchRequest,
            keys,
            st.one_of(st.none(), keys),
            numbers,
            st.sampled_from(WatchDetail),
        ),
    ),
    st.builds(CloseWatch, ids),
    st.builds(AskMembers, ids),
    st.builds(ChangeMembers, ids, changes),
    st.builds(TransferLeadership, ids, numbers),
    st.builds(AskStatus, ids),
)


@st.composite
def broken(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Cut, change or lengthen something that made sense."""
    data = bytearray(draw(whole))
    place = draw(st.integers(0, len(data) - 1))
    how = draw(st.sampled_from(["cut", "flip", "insert"]))
    if how == "cut":
        return bytes(data[: place + 1])
    if how == "flip":
        data[place] ^= draw(st.integers(1, 255))
    else:
        data[place:place] = draw(st.binary(min_size=1, max_size=8))
    return bytes(data)


frames = st.one_of(
    requests.map(encode), broken(requests.map(encode)), st.binary(min_size=1, max_size=64)
)


class Victim:
    """A node on a loop of its own, and an honest client beside the hostile one."""

    def __init__(self, directory: Path, *others: str) -> None:
        self._runner = asyncio.Runner()
        self._serving = serving(directory, *others)
        self.node = self._runner.run(self._serving.__aenter__())
        self._turn = 0

    def close(self) -> None:
        self._runner.run(self._serving.__aexit__(None, None, None))
        self._runner.close()

    def hear(self, frames: list[bytes]) -> None:
        self._runner.run(self._hear(frames))

    def hear_as_peer(self, frames: list[bytes], node_id: int) -> None:
        self._runner.run(self._hear_as_peer(frames, node_id))

    async def _hear(self, frames: list[bytes]) -> None:
        hostile = await introduce(self.node)
        for frame in frames:
            hostile.connection.send(frame)
        # To hang up on nonsense is an answer too.
        with contextlib.suppress(ConnectionLost):
            assert isinstance(await hostile.ask(AskStatus(LAST)), Status)
        await hostile.close()
        await self._be_honest()

    async def _be_honest(self) -> None:
        """Others are served, and rightly."""
        assert not self.node.failed.done()
        self._turn += 1
        value = str(self._turn).encode()
        async with quorate.AsyncClient(f"quorate://{self.node.config.address}") as client:
            revision = await client.kv.put("honest", value)
            found = await client.kv.get("honest")
        assert found is not None
        assert (found.value, found.mod_revision) == (value, revision)

    async def _hear_as_peer(self, frames: list[bytes], node_id: int) -> None:
        cluster_id = self.node.status(0).cluster_id
        hello = Hello(PROTOCOL_VERSION, Role.PEER, cluster_id, node_id)
        peer = await Conversation.open(self.node.config.address, hello)
        for frame in frames:
            peer.connection.send(frame)
        await peer.close()
        status = await probe(self.node.config.address, cluster_id)
        assert status.name == "a"
        assert not self.node.failed.done()


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    made = Victim(tmp_path_factory.mktemp("victim"))
    yield made
    made.close()


QUICK = settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=5000)


@given(st.lists(frames, min_size=1, max_size=6))
@QUICK
def test_no_request_stops_a_node_or_misleads_others(victim: Victim, said: list[bytes]) -> None:
    victim.hear(said)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@given(st.lists(frames, min_size=1, max_size=12))
@LONG
def test_no_request_stops_a_node_long_form(victim: Victim, said: list[bytes]) -> None:
    victim.hear(said)


entries = st.builds(Entry, numbers, numbers, st.sampled_from(EntryKind), values)
messages = st.one_of(
    st.builds(VoteRequest, numbers, st.sampled_from(CampaignKind), numbers, numbers),
    st.builds(Heartbeat, numbers, numbers, numbers),
    st.builds(
        AppendRequest,
        numbers,
        numbers,
        numbers,
        numbers,
        numbers,
        st.lists(entries, max_size=2).map(tuple),
    ),
    st.builds(
        SnapshotChunk,
        numbers,
        st.builds(SnapshotIdentity, numbers, numbers, numbers, numbers, values),
        numbers,
        values,
    ),
)
_decode_peer = msgspec.msgpack.Decoder(list[tuple[int, Message]]).decode


def unreadable(frame: bytes) -> bool:
    """Tell whether it is no message at all; what can be read is another member's word."""
    try:
        return not _decode_peer(frame)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return True


whole_messages = st.tuples(st.just(1), messages).map(lambda each: encode([each]))
peer_frames = st.one_of(
    st.binary(min_size=1, max_size=64),
    broken(whole_messages),
    st.sampled_from([b"\x91" * 100_000, b"\xdd\xff\xff\xff\xff"]),
).filter(unreadable)


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    made = Victim(tmp_path_factory.mktemp("member"), "b=127.0.0.1:1")
    yield made
    made.close()


@given(st.lists(peer_frames, min_size=1, max_size=6))
@QUICK
def test_a_peer_that_talks_nonsense_stops_nobody(member: Victim, said: list[bytes]) -> None:
    (other,) = (each.id for each in member.node.config.members if each.name == "b")
    member.hear_as_peer(said, other)
