"""Names that the baselines' workers and their publishers share."""

from typing import Final

DRAMATIQ_QUEUE: Final = "bench_dramatiq"
CELERY_QUEUE: Final = "bench_celery"
CELERY_TASK: Final = "bench.charge"
