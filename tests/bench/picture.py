"""One picture of a run for the README."""

from pathlib import Path
from typing import Final

from matplotlib import pyplot as plt

from tests.bench.charging_metrics import CPU, RATE
from tests.bench.measurements import Measurements, Row

_OURS: Final = "#2457a6"
_THEIRS: Final = "#a9b3c1"
_PANELS: Final = (
    ("vantage-50ms", CPU, "CPU per charge, Vantage wire, 50 ms (us)"),
    ("stripe-50ms", CPU, "CPU per charge, Stripe SDK, 50 ms (us)"),
    ("vantage-0ms", RATE, "Charges per second, Vantage wire, 0 ms"),
    ("stripe-0ms", RATE, "Charges per second, Stripe SDK, 0 ms"),
    ("submit", "seconds", "Handing over 10,000 payments (s)"),
    ("small-behind-large", "seconds", "Five invoices, submit to final (s)"),
)


def draw(measured: Measurements, path: Path) -> None:
    """Medians as bars with the span from least to greatest, a panel for each comparison that was made."""
    panels = [panel for panel in _PANELS if measured.tables.get(panel[0])]
    if not panels:
        return
    heights = [1.0 + 0.34 * len(measured.tables[name]) for name, _, _ in panels]
    # No display is needed.
    plt.switch_backend("svg")
    # Ids in the file are random unless salted: the same numbers give the same file.
    with plt.rc_context({"svg.hashsalt": "batchpay", "font.size": 9, "svg.fonttype": "none"}):
        figure, axes = plt.subplots(
            len(panels), 1, figsize=(9, sum(heights)), height_ratios=heights, layout="constrained", squeeze=False
        )
        for axis, (name, column, title) in zip(axes[:, 0], panels, strict=True):
            _bars(axis, measured.tables[name], column, title)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def _bars(axis: plt.Axes, rows: list[Row], column: str, title: str) -> None:
    values = [row.values[column] for row in rows]
    medians = [value.median for value in values]
    spans = [
        [value.median - value.least for value in values],
        [value.greatest - value.median for value in values],
    ]
    colours = [_OURS if row.title.startswith("Batchpay") or "five" in row.title else _THEIRS for row in rows]
    bars = axis.barh([row.title for row in rows], medians, xerr=spans, color=colours, error_kw={"linewidth": 0.8})
    axis.bar_label(bars, [f" {median:,.3g}" if median < 100 else f" {median:,.0f}" for median in medians], padding=2)
    axis.invert_yaxis()
    axis.set_title(title, loc="left", fontweight="bold", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0.12)
