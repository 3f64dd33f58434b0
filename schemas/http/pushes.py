"""Answers to a push of the catalog."""

from pydantic import Field

from schemas.http.base import Answer


class RefusedRow(Answer):
    """A pushed row that did not land."""

    row: int = Field(description="The line of NDJSON and CSV, the place in an array; from 1.")
    field: str = Field(description="Empty where the row as a whole is wrong.")
    value: str
    reason: str
    fix: str


class PushResult(Answer):
    """What became of a push. The refused rows are left out, all others landed."""

    rows: int
    added: int
    changed: int
    unchanged: int
    refused: int
    errors: list[RefusedRow] = Field(description="What is wrong with the refused rows; the first thousand faults.")
