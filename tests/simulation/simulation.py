"""One seed: a storm of faults, then healing, then the verdict. One turn is taken whenever everything is quiet.

In half of the seeds people want money back when everything has settled: a second storm, and healing once more.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random

from shared.domain.payment import UNFINISHED
from shared.domain.words import ProcessorName
from tests.simulation import people, verdict
from tests.simulation.actors import Ground
from tests.simulation.bank import Bank
from tests.simulation.bus import Bus
from tests.simulation.clock import Clock
from tests.simulation.database import Session
from tests.simulation.gates import Gate, Gates, Process
from tests.simulation.loop import SimulatedLoop
from tests.simulation.staff import Staff
from tests.simulation.trace import Trace
from tests.simulation.weather import CALM, draw
from tests.simulation.world import Parts, Violation, World

_FIRST_DAY = datetime(2026, 3, 2, tzinfo=UTC)
_DAYS = 250
# 17:00 in New York, in summer and in winter: half of the seeds begin in the hour before it.
_CUT_OFFS = (timedelta(hours=21), timedelta(hours=22))
# Turns with faults, those of the janitor not counted: it takes many and seldom finds much.
_TURNS = (30, 110)
_BATCHES_MOST = 4
# How many voids are asked for: in half of the seeds none.
_VOIDS = (0, 0, 1, 2)
# How many refunds are asked for when everything has settled: in half of the seeds none, and no second storm comes.
_REFUNDS = (0, 0, 3, 6)
_TURNS_OF_REFUNDS = (40, 90)
# How often a gate of each kind gets its turn, where others wait too; 1 unless given.
_WEIGHTS = {"sweep": 0.04, "void": 0.03, "refund": 1.0, "submit": 0.2, "round": 0.5}
# Kinds that are always ready: where only they are, the time passes instead.
_IDLE = ("sweep", "void", "refund", "submit")
_JUMPS_S = ((0.1, 5.0), (5.0, 120.0), (120.0, 3600.0), (3600.0, 16 * 3600.0))
# One turn takes a moment, and no two take place at the same.
_MOMENT_S = (0.001, 0.03)
# In how many turns one is followed by a look at the invariants.
_LOOKED_AFTER = 0.02

# Healing: after each pause everything due is done. The first is short, the last are half a day.
_FIRST_PAUSE_S = 15.0
_LONGEST_PAUSE_S = 12 * 3600.0
_PAUSES_MOST = 40
_PAUSE_GROWS = 4
# What is left to do, and how much of it can be done before a processor's day is over.
_LEFT = """SELECT count(*), count(*) FILTER (WHERE soon) FROM (
    SELECT state NOT IN ('approved', 'processing') AS soon FROM payment WHERE state = ANY(%s)
    UNION ALL SELECT true FROM outbox UNION ALL SELECT true FROM batch_hint
    UNION ALL SELECT false FROM batch WHERE posting = 'pending') unfinished"""


class Simulation:
    def __init__(self, seed: int, session: Session, parts: Parts) -> None:
        random = Random(seed)
        clock = Clock(_beginning(random))
        trace = Trace(clock)
        self.world = World(
            random=random,
            clock=clock,
            trace=trace,
            gates=Gates(clock, trace),
            session=session,
            weather=draw(random),
            parts=parts,
        )
        self._bus = Bus(self.world)
        self._bank = Bank(self.world, refunds_once=random.random() < 0.5)
        self._refunds = random.choice(_REFUNDS)
        self._turns_left = random.randint(*_TURNS)
        self._swept = True
        self._pause_s = _FIRST_PAUSE_S
        self._pauses = 0
        self._quiet_pauses = 0

    def run(self) -> None:
        """Raises Violation."""
        loop = SimulatedLoop(self.world.clock, self._take_turn)
        try:
            with self.world.trace.of_log():
                loop.run_until_complete(self._live())
        finally:
            loop.close()

    async def _live(self) -> None:
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.world.session.set_time(self.world.clock.now.isoformat())
        self._practices = practices = people.settle_in(self.world)
        ground = Ground(self.world, self._bus, self._bank)
        self._staff = Staff(ground, [ProcessorName(practice.name) for practice in practices])
        self._staff.start()
        self._people = [self._biller(practice) for practice in practices]
        try:
            await self._over
        finally:
            await self.world.gates.end()
        verdict.judge(self.world, self._bank, practices)

    def _biller(self, practice: people.Practice) -> Process:
        process, person = self._person("biller", practice)
        process.start(person.submit_batches(_BATCHES_MOST))
        process.start(person.ask_for_voids(self.world.random.choice(_VOIDS)))
        return process

    def _refunder(self, practice: people.Practice) -> Process:
        process, person = self._person("refunder", practice)
        process.start(person.ask_for_refunds(self._refunds))
        return process

    def _person(self, role: str, practice: people.Practice) -> tuple[Process, people.Person]:
        process = Process(name=f"{role}-{practice.name}", role=role, gates=self.world.gates)
        return process, people.Person(process, self.world, practice)

    def _take_turn(self, timer_s: float | None) -> None:
        assert not self._over.done(), "a task goes on after the end"
        try:
            self._check_quiet()
            self._staff.thaw()
            if gate := self.world.gates.overdue():
                self._open(gate)
            elif self._turns_left > 0:
                self._storm(timer_s)
            else:
                self._heal(timer_s)
        except Violation as violation:
            self._over.set_exception(violation)

    def _check_quiet(self) -> None:
        if self.world.violation:
            raise self.world.violation
        if self.world.session.in_transaction:
            raise Violation("a transaction stays open while its process waits")
        if self.world.trace.errors:
            raise Violation(self.world.trace.errors[0])
        if failure := self.world.gates.failure():
            raise Violation(f"a process ended: {failure!r}") from failure

    def _open(self, gate: Gate) -> None:
        if gate.process.frozen_until is not None:
            self._staff.wake(gate.process)
        self.world.clock.advance(self.world.clock.in_s(self.world.random.uniform(*_MOMENT_S)))
        self.world.gates.open(gate)

    # --- Storm ---

    def _storm(self, timer_s: float | None) -> None:
        world, weather = self.world, self.world.weather
        if world.chance(_LOOKED_AFTER):
            verdict.look(world)
        if world.strikes("death"):
            self._staff.kill_one()
        if world.strikes("freeze"):
            self._staff.freeze_one()
        if world.chance(weather.queue_lost) and (queue := self._bus.lose_queue()):
            world.faults["queue_lost"] += 1
            world.trace.add(f"! everything in {queue} is lost")
        if world.strikes("catalog"):
            people.change_catalog(world)
        gates = world.gates.enabled()
        busy = any(gate.kind not in _IDLE for gate in gates)
        if gates and (busy or world.chance(0.2)) and not world.chance(weather.jump / 4):
            gate = world.random.choices(gates, [_WEIGHTS.get(gate.kind, 1.0) for gate in gates])[0]
            self._turns_left -= gate.process.role != "janitor"
            self._open(gate)
        else:
            self._turns_left -= 1
            self._jump(timer_s)

    def _jump(self, timer_s: float | None) -> None:
        """Mostly to the next moment at which something happens by itself, sometimes far beyond it."""
        world = self.world
        moments = [at for at in (world.gates.next_turn(), world.clock.next_deed) if at is not None]
        if timer_s is not None:
            moments.append(world.clock.in_s(timer_s))
        if world.chance(world.weather.outside):
            self._bank.give_back_outside()
        if moments and not world.strikes("jump"):
            world.gates.advance(min(moments))
        else:
            world.gates.advance(world.clock.in_s(world.random.uniform(*world.random.choice(_JUMPS_S))))

    # --- Healing ---

    def _heal(self, timer_s: float | None) -> None:
        world = self.world
        if world.weather is not CALM:
            world.trace.add("--- healing")
            world.weather = CALM
            self._bus.deliver_everything()
            for person in self._people:
                person.alive = False
                world.gates.forget(person)
        gates = world.gates.enabled()
        sweeps = [gate for gate in gates if gate.kind == "sweep"]
        busy = [gate for gate in gates if gate.kind != "sweep"]
        if busy:
            # The relay last: it takes everything that is there in one round.
            self._open(world.random.choice([gate for gate in busy if gate.kind != "round"] or busy))
        elif (answer_at := _soonest(world, timer_s)) is not None:
            world.gates.advance(answer_at)
        elif not self._swept and sweeps:
            self._swept = True
            self._open(world.random.choice(sweeps))
        else:
            self._pause()

    def _pause(self) -> None:
        world = self.world
        left, soon = world.session.rows(_LEFT, [list(UNFINISHED)])[0]
        self._quiet_pauses = self._quiet_pauses + 1 if not left and self._staff.all_awake else 0
        if self._quiet_pauses > 1:
            self._over.set_result(None) if not self._refunds else self._second_storm()
            return
        if self._pauses == _PAUSES_MOST:
            raise Violation(f"not over after {world.clock.monotonic() / 86400:.0f} days: {left} rows are unfinished")
        self._pauses += 1
        self._swept = False
        world.gates.advance(world.clock.in_s(self._pause_s if soon else _LONGEST_PAUSE_S))
        self._pause_s = min(self._pause_s * _PAUSE_GROWS, _LONGEST_PAUSE_S)

    def _second_storm(self) -> None:
        """Everything has settled: now people want money back, in other weather."""
        world = self.world
        world.trace.add("--- refunds")
        self._people = [self._refunder(practice) for practice in self._practices]
        self._refunds = 0
        self._turns_left = world.random.randint(*_TURNS_OF_REFUNDS)
        world.weather = draw(world.random)
        self._pauses = self._quiet_pauses = 0
        self._pause_s = _FIRST_PAUSE_S


def _soonest(world: World, timer_s: float | None) -> datetime | None:
    """When the next answer comes or the next pause ends, if any is awaited."""
    moments = [at for at in (world.gates.next_turn(),) if at is not None]
    if timer_s is not None:
        moments.append(world.clock.in_s(timer_s))
    return min(moments, default=None)


def _beginning(random: Random) -> datetime:
    day = _FIRST_DAY + timedelta(days=random.randrange(_DAYS))
    if random.random() < 0.5:
        return day + random.choice(_CUT_OFFS) - timedelta(minutes=random.uniform(0, 60))
    return day + timedelta(hours=random.uniform(0, 24))
