"""A loop over a ThreadPoolExecutor, no queue at all: `python -m tests.bench.baselines.pool_worker`.

2 processes of 32 threads. Each takes its half of every file of jobs that appears in BENCH_JOBS.
"""

import json
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.bench.baselines.charging import PROCESSES, THREADS, worker

_LOOK_EVERY_S: Final = 0.01


def work(place: int) -> None:
    """Run this process's share of each file, in the order of their names, for ever."""
    folder, run = Path(os.environ["BENCH_JOBS"]), worker()
    n = 0
    with ThreadPoolExecutor(THREADS) as threads:
        while True:
            jobs = folder / f"{n}.json"
            if jobs.exists():
                for _ in threads.map(run, json.loads(jobs.read_text())[place::PROCESSES]):
                    pass
                n += 1
            else:
                time.sleep(_LOOK_EVERY_S)


if __name__ == "__main__":
    processes = [multiprocessing.Process(target=work, args=(place,), daemon=True) for place in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
