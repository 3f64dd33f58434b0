"""A process that serves for long does not look again and again at what never goes away."""

import gc
import weakref

from shared.garbage import seldom_collected


class Knot:
    """Refers to itself: only the collector can end it."""

    def __init__(self) -> None:
        self.self = self


def test_what_was_there_before_is_not_looked_at_and_all_is_as_before_afterwards() -> None:
    before = gc.get_threshold()
    old = Knot()
    with seldom_collected():
        assert gc.get_threshold()[0] > before[0]
        gone, new = weakref.ref(old), weakref.ref(Knot())
        del old
        gc.collect()
        assert gone() is not None
        assert new() is None, "what comes later is still collected"
    assert gc.get_threshold() == before
    gc.collect()
    assert gone() is None
