"""A client that does what an upstream app has to do: it repeats a call until it is answered."""

import time
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException
from typing import Final, TypeVar
from urllib.error import HTTPError

T = TypeVar("T")

WITHIN_S: Final = 90.0
_PAUSE_S: Final = 0.1


def insist(call: Callable[[], T], *, within_s: float = WITHIN_S) -> T:
    """The answer of `call`, repeated while nobody answers it. A refusal (HTTP 4xx) passes through at once."""
    give_up_at = time.monotonic() + within_s
    while True:
        try:
            return call()
        except (OSError, HTTPException) as error:
            refused = isinstance(error, HTTPError) and error.code < HTTPStatus.INTERNAL_SERVER_ERROR
            if refused or time.monotonic() > give_up_at:
                raise
            if isinstance(error, HTTPError):
                error.close()
        time.sleep(_PAUSE_S)
