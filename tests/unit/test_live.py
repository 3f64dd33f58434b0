"""How often an open page is told what is new."""

import pytest

from services.submit.console.live import pause_s


@pytest.mark.parametrize(("took_s", "pause"), [(0.0, 1.0), (0.1, 1.0), (0.25, 2.5), (5.0, 10.0)])
def test_news_that_are_dear_to_read_come_less_often(took_s: float, pause: float) -> None:
    assert pause_s(took_s) == pause
