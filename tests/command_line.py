"""The command line, called in this process with an environment of its own."""

import json
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from services.cli.main import app


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def batchpay(*words: str, typed: str | None = None, **environment: str | None) -> Ended:
    """`batchpay WORDS...`; `environment` is on top of this process's, None takes a variable away."""
    result = CliRunner().invoke(app, words, input=typed, env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)
