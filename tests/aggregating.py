"""What the aggregator does, for tests that run none."""

import asyncio
from uuid import UUID

from shared.store.batch_status import Changed, recompute
from shared.store.pool import open_pool


def aggregated(database_url: str, *batches: UUID) -> list[Changed]:
    """Recompute these batches from their payments; what changed."""

    async def main() -> list[Changed]:
        async with open_pool(database_url, process="test", most=2) as pool:
            return await recompute(pool, batches, actor="test")

    return asyncio.run(main())
