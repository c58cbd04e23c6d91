"""The verbs that act between nodes: delivery, disks that finish, partitions, settling down."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.scenarios.verbs import ScenarioError, Scene, Words, campaign, time
from tests.scenarios.words import message_name, message_words
from tests.scenarios.world import Letter, Node

ROUNDS_MAX = 200


def deliver(scene: Scene, words: Words) -> None:
    """`deliver [A->B] [to N] [from N] [NAME] [first N] [drop|duplicate|reverse]`.

    Only what is under way now is delivered, not the answers. `duplicate` delivers and
    leaves a copy under way.
    """
    world = scene.world
    chosen = _choose(world.letters, words)
    if not chosen:
        raise ScenarioError("no such message is under way")
    for letter in chosen:
        _take_out(world.letters, letter)
    if "drop" in words:
        for source, target, message in chosen:
            world.trace.append(f"{source} -> {target} {message_words(message)} (dropped)")
        return
    if "duplicate" in words:
        world.letters.extend(chosen)
    for letter in reversed(chosen) if "reverse" in words else chosen:
        world.deliver(letter)


def _choose(letters: Sequence[Letter], words: Words) -> list[Letter]:
    chosen = list(letters)
    limit = len(chosen)
    rest = iter([word for word in words if word not in ("drop", "duplicate", "reverse")])
    for word in rest:
        if word == "to":
            number = int(next(rest))
            chosen = [each for each in chosen if each.target == number]
        elif word == "from":
            number = int(next(rest))
            chosen = [each for each in chosen if each.source == number]
        elif word == "first":
            limit = int(next(rest))
        elif "->" in word:
            ends = tuple(map(int, word.split("->")))
            chosen = [each for each in chosen if (each.source, each.target) == ends]
        else:
            chosen = [each for each in chosen if message_name(each.message) == word]
    return chosen[:limit]


def _take_out(letters: list[Letter], letter: Letter) -> None:
    # Equal messages may be under way; the very one that was chosen goes.
    del letters[next(place for place, each in enumerate(letters) if each is letter)]


def sync(scene: Scene, words: Words) -> None:
    """`sync N [COUNT]`: the node's disk finishes its oldest jobs, or all that it has now."""
    node = scene.running(words[0])
    count = int(words[1]) if len(words) > 1 else len(node.jobs)
    if not 0 < count <= len(node.jobs):
        raise ScenarioError(f"node {words[0]} has {len(node.jobs)} jobs for its disk")
    for _ in range(count):
        scene.world.sync(node)


def stabilise(scene: Scene, words: Words) -> None:
    """`stabilise [N...]`: disks and messages, among all or some, until nothing is left to do.

    No time passes. What is sent and written is told when it arrives and is synced.
    """
    world = scene.world
    chosen = scene.each(words)
    numbers = {node.number for node in chosen}
    world.tells_sends = False
    for _ in range(ROUNDS_MAX):
        if not _round(scene, chosen, numbers):
            break
    else:
        raise ScenarioError(f"the world is still busy after {ROUNDS_MAX} rounds")
    world.tells_sends = True


def _round(scene: Scene, chosen: list[Node], numbers: set[int]) -> bool:
    world = scene.world
    busy = False
    for node in chosen:
        for _ in range(len(node.jobs)):
            world.sync(node)
            busy = True
    for letter in list(world.letters):
        down = not world.nodes[letter.target].alive
        if letter.source in numbers and (letter.target in numbers or down):
            _take_out(world.letters, letter)
            world.deliver(letter)
            busy = True
    return busy


def settle(scene: Scene, words: Words) -> None:
    """`settle [N...]`: stabilise, let the leader tell its commit (2 ms), stabilise."""
    stabilise(scene, words)
    scene.world.tells_sends = False
    time(scene, ["2", *words])
    stabilise(scene, words)


def elect(scene: Scene, words: Words) -> None:
    """`elect N [N...]`: the first campaigns, and the world (or these nodes) settles."""
    campaign(scene, words[:1])
    settle(scene, words if len(words) > 1 else [])
    if not scene.node(words[0]).raft.ready:
        raise ScenarioError(f"node {words[0]} was not elected")


def partition(scene: Scene, words: Words) -> None:
    """`partition A B | C`: only nodes of one group hear each other; the rest are a group too."""
    groups: list[set[int]] = [set()]
    for word in words:
        if word == "|":
            groups.append(set())
        else:
            groups[-1].add(scene.node(word).number)
    groups.append(set(scene.world.nodes).difference(*groups))
    place = {number: at for at, group in enumerate(groups) for number in group}
    scene.world.cut = {
        (one, other) for one in place for other in place if place[one] != place[other]
    }


def cut(scene: Scene, words: Words) -> None:
    """`cut A->B`: what A sends to B is lost; the other way still works."""
    source, target = map(int, words[0].split("->"))
    scene.world.cut.add((source, target))


def heal(scene: Scene, _: Words) -> None:
    """`heal`: every message arrives again."""
    scene.world.cut.clear()


VERBS: dict[str, Callable[[Scene, Words], None]] = {
    "deliver": deliver,
    "sync": sync,
    "stabilise": stabilise,
    "settle": settle,
    "elect": elect,
    "partition": partition,
    "cut": cut,
    "heal": heal,
}
