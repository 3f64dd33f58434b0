"""The report on paper, as a practice files it: every payment, the totals, who printed it and when."""

import io
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

from reportlab.lib.pagesizes import A4, landscape, letter
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from services.submit.console import words
from services.submit.console.formats import Formats
from services.submit.console.pages import FOLDER
from services.submit.console.report import Totals, why
from shared.domain.batch import Posting
from shared.domain.eligibility import PROCESSOR_NAMES
from shared.domain.payment import State
from shared.store.batches import Batch
from shared.store.report import ReportRow

_REGULAR: Final = "DejaVuSans"
_BOLD: Final = "DejaVuSans-Bold"
_MARGIN: Final = 34.0  # points, 12 mm
_SIZE: Final = 7.5
_LINE: Final = 10.0
_PAD: Final = 3.0
# Behind an amount, so that it does not run into the word that follows.
_GAP: Final = 12.0
_GREY: Final = 0.35


class _Column(NamedTuple):
    """`share` of the page's width; amounts stand to the right."""

    title: str
    share: float
    right: bool = False

    @property
    def pad(self) -> float:
        return _GAP if self.right else _PAD


_COLUMNS: Final = (
    _Column("Invoice", 0.075),
    _Column("Client", 0.125),
    _Column("Service dates", 0.13),
    _Column("Card", 0.108),
    _Column("Number", 0.07),
    _Column("Amount", 0.087, right=True),
    _Column("Status", 0.2),
    _Column("Reference", 0.082),
    _Column("Finished", 0.123),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    practice: str
    printed_by: str
    submitted_by: str
    approved_by: str | None
    batch: Batch
    totals: Totals
    rows: list[ReportRow]
    formats: Formats


def render(document: Document) -> bytes:
    """The PDF: Letter where the locale is American, else A4, always landscape."""
    _register_fonts()
    size = landscape(letter if document.formats.locale == "en_US" else A4)
    records = [_record(row, document.formats) for row in document.rows]
    counting = _Paper(Canvas(io.BytesIO(), pagesize=size), document, size, pages=0)
    pages = counting.draw(records)
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=size, lang=document.formats.language)
    canvas.setTitle(f"Batch BP-{document.batch.number}")
    canvas.setAuthor(document.practice)
    _Paper(canvas, document, size, pages=pages).draw(records)
    canvas.save()
    return out.getvalue()


@cache
def _register_fonts() -> None:
    for name in (_REGULAR, _BOLD):
        pdfmetrics.registerFont(TTFont(name, str(FOLDER / "fonts" / f"{name}.ttf")))


def _record(row: ReportRow, f: Formats) -> list[list[str]]:
    """A row's cells, each broken into lines later. Status and reason stand under each other."""
    status = [words.STATES[State(row.state)].words]
    if sentence := why(row):
        status.append(sentence)
    if row.refund_reason:
        status.append(f"Refund: \N{LEFT DOUBLE QUOTATION MARK}{row.refund_reason}\N{RIGHT DOUBLE QUOTATION MARK}")
    return [
        [row.invoice_number],
        [row.client_name],
        [f.days(row.first_service_on, row.last_service_on)],
        [f"{words.brand(row.brand)} ··{row.last4}"],
        [row.number],
        [f.money(row.amount_minor, row.currency)],
        status,
        [row.processor_ref or ""],
        [f"{f.short_day(f.local(row.finished_at).date())}, {f.time(row.finished_at, seconds=True)}"]
        if row.finished_at
        else [],
    ]


class _Paper:
    """Draws from the top; begins a page, with the column titles again, when the next row does not fit."""

    def __init__(self, canvas: Canvas, document: Document, size: tuple[float, float], *, pages: int) -> None:
        self._canvas, self._document, self._pages = canvas, document, pages
        self._width, self._height = size
        self._y = self._height - _MARGIN
        self._page = 1

    def draw(self, records: list[list[list[str]]]) -> int:
        """All of it; how many pages it took."""
        self._head()
        self._titles()
        for record in records:
            self._row(record)
        if self._document.batch.hides_rows:
            self._text(_MARGIN, self._y - _LINE, words.HIDDEN, grey=True)
        self._foot()
        self._canvas.showPage()
        return self._page

    def _head(self) -> None:
        document, batch, f = self._document, self._document.batch, self._document.formats
        self._text(_MARGIN, self._y - 12, document.practice, font=_BOLD, size=13)
        self._right(self._width - _MARGIN, self._y - 12, "Batch payment report", size=9)
        self._right(self._width - _MARGIN, self._y - 28, f"Printed {f.stamp(f.now())} by {document.printed_by}")
        number = f" · Payment number {batch.payment_number} on all" if batch.payment_number else ""
        approved = f", approved by {document.approved_by}" if document.approved_by else ""
        self._text(
            _MARGIN,
            self._y - 28,
            f"Batch BP-{batch.number} · {words.BATCHES[batch.status].words}, {self._posting()}",
            font=_BOLD,
        )
        submitted = (
            f"Submitted {f.stamp(batch.submitted_at)} by {document.submitted_by}{approved}"
            f" · {PROCESSOR_NAMES[batch.processor]}{number}"
        )
        for line in _broken(submitted, self._width - 2 * _MARGIN):
            self._text(_MARGIN, self._y - 40, line)
            self._y -= _LINE
        self._y -= 42
        self._totals()

    def _posting(self) -> str:
        batch, f = self._document.batch, self._document.formats
        if batch.posting is Posting.PENDING:
            return "pending"
        return f"posted {f.day(f.local(batch.posted_at).date())}" if batch.posted_at else "posted"

    def _totals(self) -> None:
        sums, f, currency = self._document.totals, self._document.formats, self._document.batch.currency
        figures = (
            ("Charged (gross)", sums.gross.amount_minor, words.counted(sums.gross.payments, "payment")),
            ("Voided", -sums.voided.amount_minor, words.counted(sums.voided.payments, "payment")),
            ("Refunded", -sums.refunded.amount_minor, words.counted(sums.refunded.payments, "payment")),
            ("Declined, skipped", sums.declined.amount_minor, words.counted(sums.declined.payments, "payment")),
            ("Unfinished", sums.unfinished.amount_minor, words.counted(sums.unfinished.payments, "payment")),
            ("Net to the practice", sums.net_minor, "before fees"),
        )
        step = (self._width - 2 * _MARGIN) / len(figures)
        self._rule(self._y)
        for place, (name, amount_minor, said) in enumerate(figures):
            x = _MARGIN + place * step
            self._text(x, self._y - 11, name, grey=True)
            self._text(x, self._y - 24, f.money(amount_minor, currency), font=_BOLD, size=11)
            self._text(x, self._y - 35, said, grey=True)
        self._y -= 42
        self._rule(self._y)
        self._y -= 8

    def _titles(self) -> None:
        for column, x, width in self._places():
            write = self._right if column.right else self._text
            write(x + (width - column.pad if column.right else 0), self._y - 9, column.title, font=_BOLD)
        self._y -= 13
        self._rule(self._y)

    def _row(self, record: list[list[str]]) -> None:
        cells = [
            [line for text in cell for line in _broken(text, width - column.pad)]
            for cell, (column, _, width) in zip(record, self._places(), strict=True)
        ]
        height = max(len(cell) for cell in cells) * _LINE + 2 * _PAD
        if self._y - height < _MARGIN + 2 * _LINE:
            self._foot()
            self._canvas.showPage()
            self._page += 1
            self._y = self._height - _MARGIN
            self._titles()
        for cell, (column, x, width) in zip(cells, self._places(), strict=True):
            for place, line in enumerate(cell):
                write = self._right if column.right else self._text
                write(x + (width - column.pad if column.right else 0), self._y - _PAD - _SIZE - place * _LINE, line)
        self._y -= height
        self._rule(self._y, grey=0.8)

    def _foot(self) -> None:
        document, f = self._document, self._document.formats
        y = _MARGIN - 8
        # On every page: sheets of a file get apart.
        whose = f"{document.practice}, batch BP-{document.batch.number}."
        self._text(_MARGIN, y, f"{whose} All times are {f.zone()}. All amounts in {f.currency_name()}.", grey=True)
        self._right(self._width - _MARGIN, y, f"Page {self._page} of {self._pages}", grey=True)

    def _places(self) -> list[tuple[_Column, float, float]]:
        usable, x, places = self._width - 2 * _MARGIN, _MARGIN, []
        for column in _COLUMNS:
            places.append((column, x, column.share * usable))
            x += column.share * usable
        return places

    def _text(
        self, x: float, y: float, text: str, *, font: str = _REGULAR, size: float = _SIZE, grey: bool = False
    ) -> None:
        self._pen(font, size, grey=grey)
        self._canvas.drawString(x, y, text)

    def _right(
        self, x: float, y: float, text: str, *, font: str = _REGULAR, size: float = _SIZE, grey: bool = False
    ) -> None:
        self._pen(font, size, grey=grey)
        self._canvas.drawRightString(x, y, text)

    def _pen(self, font: str, size: float, *, grey: bool) -> None:
        self._canvas.setFont(font, size)
        self._canvas.setFillGray(_GREY if grey else 0)

    def _rule(self, y: float, *, grey: float = 0.4) -> None:
        self._canvas.setStrokeGray(grey)
        self._canvas.setLineWidth(0.5)
        self._canvas.line(_MARGIN, y, self._width - _MARGIN, y)


def _broken(text: str, width: float) -> list[str]:
    """The text in lines of this width; a word that is wider is cut."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        for piece in _pieces(word, width):
            longer = f"{line} {piece}" if line else piece
            if pdfmetrics.stringWidth(longer, _REGULAR, _SIZE) <= width:
                line = longer
            else:
                lines.append(line)
                line = piece
    return [*lines, line] if line else lines


def _pieces(word: str, width: float) -> list[str]:
    pieces = [""]
    for sign in word:
        if pieces[-1] and pdfmetrics.stringWidth(pieces[-1] + sign, _REGULAR, _SIZE) > width:
            pieces.append("")
        pieces[-1] += sign
    return pieces
