"""Carries out the faults of a plan on a world.

Law: at any time at most a minority of the voters has a damaged disk, and what rots is never
the last synced batch, since that looks like a tear: these are the documented limits of what
a cluster survives. Everything else may fall on anybody, all at once.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final

from quorate.runtime.wal import records
from quorate.runtime.wal.segment import sequence_of
from quorate.simulation.faults import LEADER, Fault, FaultKind
from quorate.simulation.nodes import Machine
from quorate.simulation.scheduler import MILLISECOND, SECOND

if TYPE_CHECKING:
    from quorate.simulation.world import World

EIO: Final = 5


class Nemesis:
    """The one who strikes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._scheduler = world.scheduler
        self._weather = world.network.weather
        self.struck: dict[FaultKind, int] = {}
        self._strikes: dict[FaultKind, Callable[[Fault, Random], None]] = {
            FaultKind.PARTITION: self._partition,
            FaultKind.ONE_WAY: self._one_way,
            FaultKind.ISOLATE: self._isolate,
            FaultKind.PARTIAL: self._partial,
            FaultKind.FLAP: self._flap,
            FaultKind.LOSS: lambda fault, _: self._turn("loss", fault, 0.3),
            FaultKind.REPEAT: lambda fault, _: self._turn("repeat", fault, 0.5),
            FaultKind.OVERTAKE: lambda fault, _: self._turn("overtake", fault, 0.5),
            FaultKind.RESET: lambda fault, _: self._turn("reset", fault, 0.02),
            FaultKind.SPIKE: self._spike,
            FaultKind.KILL: self._kill,
            FaultKind.POWER: self._power,
            FaultKind.POWER_ALL: self._power_all,
            FaultKind.PAUSE: self._pause,
            FaultKind.SLOW_DISK: self._slow_disk,
            FaultKind.FULL_DISK: self._full_disk,
            FaultKind.FAILED_SYNC: self._failed_sync,
            FaultKind.BIT_ROT: self._bit_rot,
            FaultKind.MISDIRECTED: self._misdirect,
            FaultKind.ROLLING: self._rolling,
            FaultKind.WALL_JUMP: self._wall_jump,
            FaultKind.TRANSFER: lambda fault, _: world.operator.transfer(fault.target),
            FaultKind.COMPACT: lambda fault, _: world.operator.compact(fault.strength),
            FaultKind.REPLACE: self._replace,
            FaultKind.CLIENT_KILL: lambda fault, _: world.kill_client(fault.target),
            FaultKind.CLIENT_PAUSE: self._pause_client,
            FaultKind.CLIENT_CUT: self._cut_client,
        }

    def arm(self, faults: tuple[Fault, ...]) -> None:
        """Plan every fault's strike."""
        for number, fault in enumerate(faults):
            self._scheduler.at(fault.at, self._strike, fault, number)

    def _strike(self, fault: Fault, number: int) -> None:
        self.struck[fault.kind] = self.struck.get(fault.kind, 0) + 1
        self._world.note(f"fault: {fault.kind.value} for {fault.lasting / SECOND:.2f} s")
        chance = self._scheduler.stream(f"fault/{number}/{fault.at}")
        self._strikes[fault.kind](fault, chance)

    def _machine(self, fault: Fault) -> Machine | None:
        """Whoever the fault falls on."""
        machines = self._world.standing()
        if fault.target == LEADER:
            leader = self._world.leader()
            if leader is not None:
                return leader
        return machines[fault.target % len(machines)] if machines else None

    def _names(self) -> list[str]:
        return [machine.name for machine in self._world.standing()]

    def _cut(self, pairs: list[tuple[str, str]], fault: Fault) -> None:
        for source, target in pairs:
            self._weather.block(source, target)

        def heal() -> None:
            for source, target in pairs:
                self._weather.unblock(source, target)

        self._scheduler.after(fault.lasting, heal)

    def _partition(self, fault: Fault, chance: Random) -> None:
        names = self._names()
        clients = self._world.client_names()
        side = [name for name in (*names, *clients) if chance.random() < 0.5]
        rest = [name for name in (*names, *clients) if name not in side]
        self._cut([*_across(side, rest), *_across(rest, side)], fault)

    def _one_way(self, fault: Fault, chance: Random) -> None:
        machine = self._machine(fault)
        if machine is None:
            return
        others = [name for name in self._names() if name != machine.name]
        pairs = _across([machine.name], others)
        if chance.random() < 0.5:
            pairs = [(target, source) for source, target in pairs]
        self._cut(pairs, fault)

    def _isolate(self, fault: Fault, chance: Random) -> None:
        """Cut the leader off, with those clients that happen to be on its side."""
        leader = self._world.leader()
        if leader is None:
            return
        side = [leader.name]
        rest = [name for name in self._names() if name != leader.name]
        for name in (*self._world.client_names(), "operator"):
            chosen = chance.choice((side, rest, None))
            if chosen is not None:
                chosen.append(name)
        self._cut([*_across(side, rest), *_across(rest, side)], fault)

    def _partial(self, fault: Fault, chance: Random) -> None:
        names = self._names()
        if len(names) >= 2:
            one, other = chance.sample(names, 2)
            self._cut([(one, other), (other, one)], fault)

    def _flap(self, fault: Fault, chance: Random) -> None:
        names = self._names()
        if len(names) < 2:
            return
        one, other = chance.sample(names, 2)
        moment = 0
        while moment < fault.lasting:
            down = chance.randrange(5 * MILLISECOND, 300 * MILLISECOND)
            short = Fault(0, fault.kind, 0, min(down, fault.lasting - moment), 0)
            self._scheduler.after(moment, self._cut, [(one, other), (other, one)], short)
            moment += down + chance.randrange(5 * MILLISECOND, 300 * MILLISECOND)

    def _turn(self, what: str, fault: Fault, most: float) -> None:
        setattr(self._weather, what, fault.strength * most)
        self._scheduler.after(fault.lasting, setattr, self._weather, what, 0.0)

    def _spike(self, fault: Fault, _: Random) -> None:
        self._weather.spike_ns = int(fault.strength * SECOND) + MILLISECOND
        self._turn("spike", fault, 0.3)

    def _kill(self, fault: Fault, _: Random) -> None:
        machine = self._machine(fault)
        if machine is not None and machine.name not in self._world.doomed:
            machine.kill()
            machine.restart_later(fault.lasting)

    def _power(self, fault: Fault, _: Random) -> None:
        machine = self._machine(fault)
        if machine is not None and machine.name not in self._world.doomed:
            machine.cut_power()
            machine.restart_later(fault.lasting)

    def _power_all(self, _: Fault, chance: Random) -> None:
        for machine in self._world.standing():
            if machine.name not in self._world.doomed:
                machine.cut_power()
                machine.restart_later(chance.randrange(10 * MILLISECOND, SECOND))

    def _pause(self, fault: Fault, _: Random) -> None:
        machine = self._machine(fault)
        if machine is not None and machine.process is not None:
            machine.process.loop.pause(fault.lasting)

    def _slow_disk(self, fault: Fault, _: Random) -> None:
        machine = self._machine(fault)
        if machine is not None and machine.process is not None:
            speed = machine.process.disk_speed
            speed.slow = 1.0 + fault.strength * 500
            self._scheduler.after(fault.lasting, setattr, speed, "slow", 1.0)

    def _full_disk(self, fault: Fault, _: Random) -> None:
        machine = self._machine(fault)
        if machine is not None:
            machine.files.capacity = machine.files.used

            def free() -> None:
                machine.files.capacity = None

            self._scheduler.after(fault.lasting, free)

    def _failed_sync(self, fault: Fault, _: Random) -> None:
        machine = self._machine(fault)
        if machine is not None and machine.name not in self._world.doomed:
            machine.files.fail("sync", EIO)

    def _may_damage(self, machine: Machine) -> bool:
        """Whether the others are enough without this disk."""
        world = self._world
        if machine.node is None or not machine.serving or world.operator.replacing:
            return False
        damaged = [each for each in world.machines.values() if each.damaged and each.wanted]
        return not damaged and len(world.standing()) >= 3

    def _bit_rot(self, fault: Fault, chance: Random) -> None:
        machine = self._machine(fault)
        if machine is None or not self._may_damage(machine):
            return
        places = _old_records(machine)
        if not places:
            return
        path, start, end = chance.choice(places)
        machine.damaged = True
        machine.files.flip(path, chance.randrange(start * 8, end * 8))
        self._world.doom(machine, 0)

    def _misdirect(self, fault: Fault, chance: Random) -> None:
        machine = self._machine(fault)
        if machine is None or not self._may_damage(machine):
            return
        machine.damaged = True
        machine.files.misdirect("wal/wal-0", chance.choice((-8, 8, -1, 1)) * 512)
        self._world.doom(machine, 2)

    def _rolling(self, _: Fault, chance: Random) -> None:
        moment = 0
        for machine in self._world.standing():
            self._scheduler.after(moment, self._restart_one, machine)
            moment += chance.randrange(200 * MILLISECOND, 2 * SECOND)

    def _restart_one(self, machine: Machine) -> None:
        if machine.running and machine.name not in self._world.doomed:
            machine.kill()
            machine.restart_later(50 * MILLISECOND)

    def _wall_jump(self, fault: Fault, chance: Random) -> None:
        machine = self._machine(fault)
        if machine is not None and machine.process is not None:
            machine.process.clock.wall_offset_ns += chance.randrange(-3600, 3600) * SECOND

    def _pause_client(self, fault: Fault, _: Random) -> None:
        name = self._world.client(fault.target)
        self._world.clients[name].loop.pause(fault.lasting)

    def _cut_client(self, fault: Fault, chance: Random) -> None:
        """Nothing comes back to the client; half of the time nothing leaves it either."""
        name, nodes = [self._world.client(fault.target)], self._names()
        leaving = _across(name, nodes) if chance.random() < 0.5 else []
        self._cut([*leaving, *_across(nodes, name)], fault)

    def _replace(self, fault: Fault, _: Random) -> None:
        machine = self._machine(fault)
        if machine is not None:
            self._world.operator.replace(machine)


def _across(sources: list[str], targets: list[str]) -> list[tuple[str, str]]:
    return [(source, target) for source in sources for target in targets]


def _old_records(machine: Machine) -> list[tuple[str, int, int]]:
    """Return (path, start, end) of log records and snapshots whose rot can be noticed.

    The last two batches are left alone.
    """
    files = machine.files
    found: list[tuple[str, int, int]] = []
    for path in files.paths():
        name = path.rpartition("/")[2]
        if "/snapshots/" in path and name.endswith(".snap"):
            found.append((path, 0, len(files.content(path))))
            continue
        if sequence_of(name) is None:
            continue
        image = files.content(path)
        preamble = records.read_preamble(image)
        if preamble is None:
            continue
        offset = records.PREAMBLE_BYTES
        while (header := records.read_header(image, offset, preamble.salt)) is not None:
            end = offset + records.HEADER_BYTES + records.padded(header.length)
            found.append((path, offset, offset + records.HEADER_BYTES + header.length))
            offset = end
    logs = [each for each in found if "/snapshots/" not in each[0]]
    snapshots = [each for each in found if "/snapshots/" in each[0]]
    return [*logs[:-2], *snapshots]
