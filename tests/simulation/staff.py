"""The processes of a seed: which there are, and their deaths and pauses."""

from collections.abc import Callable
from functools import partial

from shared.domain.words import ProcessorName
from tests.simulation import actors
from tests.simulation.actors import Ground
from tests.simulation.gates import Process

Start = Callable[[Process, Ground], None]

# How long a process may be stopped: shorter than a lease, longer than one, longer than an absence takes to be final.
_FROZEN_S = ((1.0, 20.0), (30.0, 600.0), (3600.0, 96 * 3600.0))


class Staff:
    def __init__(self, ground: Ground, processors: list[ProcessorName]) -> None:
        self._ground = ground
        self._starts: dict[str, Start] = {
            "relay": actors.relay,
            "voids": actors.void_worker,
            "janitor": actors.janitor,
            "aggregator": actors.aggregator,
        } | {f"charge-{name}": partial(actors.charge_worker, name=name) for name in processors}
        self.processes: list[Process] = []

    def start(self) -> None:
        """Two of each, as in production: none leads."""
        for role in self._starts:
            for _ in range(2):
                self._hire(role)

    def _hire(self, role: str) -> None:
        number = 1 + sum(process.role == role for process in self.processes)
        process = Process(name=f"{role}-{number}", role=role, gates=self._ground.world.gates)
        self.processes.append(process)
        self._starts[role](process, self._ground)

    def kill_one(self) -> None:
        """Its tasks are gone, what it claimed stays claimed, and another process takes its place."""
        process = self._ground.world.random.choice([one for one in self.processes if one.alive])
        process.alive = False
        self._ground.world.trace.add(f"{process.name}: ! dies")
        self._ground.world.gates.forget(process)
        self._ground.bus.deliver_again(process)
        self._ground.world.session.to_relay = True  # a new relay looks at once
        self._hire(process.role)

    def freeze_one(self) -> None:
        """It stops, and goes on later as if nothing had been; RabbitMQ gives its messages to others meanwhile."""
        random = self._ground.world.random
        # Who has more under way is stopped more often: a pause in the middle of something is what hurts.
        awake = [process for process in self._ground.world.gates.waiting_processes() if process in self.processes]
        if not awake:
            return
        process, pause_s = random.choice(awake), random.uniform(*random.choice(_FROZEN_S))
        process.frozen_until = self._ground.world.clock.in_s(pause_s)
        self._ground.world.trace.add(f"{process.name}: ! stops for {pause_s:.0f} s")
        self._ground.bus.deliver_again(process)

    def thaw(self) -> None:
        """Those whose pause is over go on."""
        for process in self.processes:
            if process.frozen_until is not None and process.frozen_until <= self._ground.world.clock.now:
                self.wake(process)

    def wake(self, process: Process) -> None:
        process.frozen_until = None
        self._ground.world.trace.add(f"{process.name}: goes on")

    @property
    def all_awake(self) -> bool:
        return all(process.awake for process in self.processes if process.alive)
