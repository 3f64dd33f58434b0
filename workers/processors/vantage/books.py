"""The day's card transactions (CTDR) as books: charges with their fees, money back, chargebacks."""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

from shared.domain.books import BooksAnswer, DayBooks, Dispute, Line, Move, Standing
from shared.domain.settlement_day import report_is_out
from workers.processors.connection import Answer, Trouble
from workers.processors.port import LookupFailed
from workers.processors.vantage.codes import ROW_CHARGE, ROW_CHARGEBACK, ROW_REFUND, ROW_VOID
from workers.processors.vantage.report import Row, read_report

_MOVES: Mapping[str, Move] = MappingProxyType({ROW_CHARGE: Move.CHARGE, ROW_VOID: Move.VOID, ROW_REFUND: Move.REFUND})


def judge_books(answer: Answer | Trouble, account: str, day: date) -> BooksAnswer:
    """A row of a kind that no table knows may be money: it spoils the whole day."""
    report = read_report(answer, account, day)
    if isinstance(report, LookupFailed):
        return report
    moved = [row for row in report.rows if row.went_well]
    strange = {row.kind for row in moved} - {*_MOVES, ROW_CHARGEBACK}
    if strange:
        return LookupFailed(code="report_row", detail=f"rows of unknown kinds: {', '.join(sorted(strange))}")
    return DayBooks(
        day=day,
        as_of=report.as_of,
        complete=report_is_out(day, report.as_of),
        lines=[_line(row) for row in moved if row.kind != ROW_CHARGEBACK],
        disputes=[_dispute(row) for row in moved if row.kind == ROW_CHARGEBACK],
    )


def _line(row: Row) -> Line:
    move = _MOVES[row.kind]
    charged = move is Move.CHARGE
    return Line(
        move=move,
        reference=row.reference,
        charge_ref=row.number if charged else row.parent or row.number,
        own_ref=row.number,
        amount_minor=abs(row.amount_minor),
        fee_minor=row.amount_minor - row.net_minor if charged and row.net_minor is not None else None,
    )


def _dispute(row: Row) -> Dispute:
    """The report tells that a chargeback came, not how it ends."""
    return Dispute(
        processor_ref=row.number, charge_ref=row.parent, amount_minor=abs(row.amount_minor), standing=Standing.OPEN
    )
