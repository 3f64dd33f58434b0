"""How often a process looks for reference cycles, during which it does nothing else."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# New objects between two looks at the youngest. A charge makes hundreds, nearly all of which go without a look: with
# Python's own 700 a charge cost a worker 5 % more.
_YOUNG: Final = 10_000


@contextmanager
def seldom_collected() -> Iterator[None]:
    """For the time of the block, what exists when it begins is not looked at, and what is new less often.

    The modules of a worker are some 80,000 objects that stay for ever. A look at all of them held it for 30 to 45 ms,
    about once in two seconds at a thousand charges a second, in which slots were empty.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
