"""The schedule of a run is its seed's, and brings every kind of fault."""

from services.development.processes import MODULES
from tests.chaos.faults import _CARRIED
from tests.chaos.schedule import GAP_S, OURS, PAIRS, Kind, schedule
from workers.simulators.behaviour import Behaviour

HOUR_S = 3600.0


def test_one_seed_has_one_schedule_and_another_seed_has_another() -> None:
    assert schedule(7, length_s=600) == schedule(7, length_s=600)
    assert schedule(7, length_s=600) != schedule(8, length_s=600)


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    shorter = schedule(7, length_s=60)
    assert schedule(7, length_s=600)[: len(shorter)] == shorter


def test_faults_come_in_order_and_at_the_pace_that_is_meant() -> None:
    faults = schedule(1, length_s=HOUR_S)
    times = [fault.at_s for fault in faults]
    assert times == sorted(times)
    assert 0.8 < len(faults) * GAP_S / HOUR_S < 1.2


def test_every_kind_comes_and_can_be_carried_out() -> None:
    assert {fault.kind for fault in schedule(1, length_s=HOUR_S)} == set(Kind) == set(_CARRIED)


def test_every_process_talks_through_a_proxy_and_nothing_unknown_is_disturbed() -> None:
    assert {pair.partition(">")[0] for pair in PAIRS} == set(OURS)
    for fault in schedule(1, length_s=HOUR_S):
        if fault.kind.startswith("process_"):
            assert fault.target in MODULES
        elif fault.kind.startswith(("connections_", "answers_")):
            assert fault.target in PAIRS


def test_every_misbehaviour_is_one_that_the_simulators_know() -> None:
    for fault in schedule(1, length_s=HOUR_S):
        if fault.kind is Kind.PROCESSOR_MISBEHAVED:
            assert Behaviour.parse(fault.target.split(":", 2)[2])
