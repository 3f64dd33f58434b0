"""`batchpay review` in its own process, answered by a janitor that runs here."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.integration.janitor_ground import STRIPE, Ground, on_ground
from tests.integration.reviewing import under_review

BATCHPAY = Path(sys.executable).parent / "batchpay"
SAID = ("--by", "pat", "--note", "seen in the dashboard")


async def review(ground: Ground, *words: str) -> tuple[int, str, str]:
    """Exit code and what was said on both streams; the janitor answers until the command ends."""
    command = await asyncio.create_subprocess_exec(
        BATCHPAY,
        "review",
        *words,
        env={**os.environ, "BATCHPAY_DATABASE_URL": ground.database_url, "COLUMNS": "300"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    done = asyncio.create_task(command.communicate())
    while not done.done():
        await ground.answer()
        await asyncio.wait({done}, timeout=0.05)
    out, err = done.result()
    assert command.returncode is not None
    return command.returncode, out.decode(), err.decode()


def test_the_list_shows_what_waits_and_what_can_be_done(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        assert await review(ground, "list") == (0, "Nothing is under review.\n", "")
        lost = await under_review(ground, "reset_after_execute")
        code, shown, _ = await review(ground, "list")
        assert code == 0
        assert str(lost.payment_id) in shown
        code, shown, _ = await review(ground, "list", "--json")
        (row,) = json.loads(shown)
        assert (code, row["state"], row["reference"]) == (0, "unknown", lost.order.reference)
        assert "no look could tell" in row["reason"]
        assert "resolve as charged" in row["suggestion"]

    on_ground(STRIPE, database_url, story)


def test_a_wrong_resolution_is_refused_with_its_reason_and_the_right_one_is_taken(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await under_review(ground, "reset_after_execute")
        (fact,) = ground.bench.ledger(lost.order.reference)
        number, payment = fact["processor_ref"], str(lost.payment_id)
        refused: dict[tuple[str, ...], Any] = {
            ("not-executed",): f"Refused: the processor shows {number} as settled.\n",
            ("acknowledged",): "Refused: the payment is unknown: what became of it must be found out first.\n",
        }
        for verdict, why in refused.items():
            assert await review(ground, "resolve", payment, *verdict, *SAID) == (1, "", why)
        code, _, why = await review(ground, "resolve", payment, "charged", "pi_1", *SAID)
        assert (code, why.startswith("Refused: ")) == (1, True)
        assert lost.state == "unknown"
        taken = await review(ground, "resolve", payment, "charged", number, *SAID)
        assert taken == (0, "Resolved: charged.\n", "")
        assert lost.state == "settled"

    on_ground(STRIPE, database_url, story)


def test_words_that_say_nothing_clear_are_not_passed_on(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await under_review(ground, "reset_after_execute")
        payment = str(lost.payment_id)
        for words in [("maybe", *SAID), ("charged", *SAID), ("not-executed", "--by", "pat", "--note", " ")]:
            code, _, _ = await review(ground, "resolve", payment, *words)
            assert code == 2, words
        assert ground.connection.execute("SELECT FROM resolution").fetchall() == []
        nobody = await review(ground, "resolve", str(lost.attempt_id), "not-executed", *SAID)
        assert nobody == (1, "", f"There is no payment {lost.attempt_id}.\n")

    on_ground(STRIPE, database_url, story)
