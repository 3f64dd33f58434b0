"""A virtual host of their own for the processes that are to die."""

from tests.journeys.conftest import own_host

__all__ = ["own_host"]
