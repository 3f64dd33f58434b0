"""The dashboard and the alert rules use what the code exports, every alert has its page, and every metric is moved."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from shared.telemetry import metrics

ROOT: Final = Path(metrics.__file__).parents[2]
OPERATIONS: Final = ROOT / "docs" / "operations"
RUNBOOK: Final = OPERATIONS / "runbook"
# What Prometheus and its client library add to ours: by name, with the labels.
FOREIGN: Final = {name: {"job", "instance"} for name in ("up", "process_resident_memory_bytes")}
FUNCTIONS: Final = {
    "sum", "max", "count", "rate", "increase", "time", "absent", "histogram_quantile", "by", "on", "unless", "and",
    "or",
}  # fmt: skip
_STRINGS: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR: Final = re.compile(r"([a-z_:]+)\{([^}]*)\}")
_GROUPING: Final = re.compile(r"\b(?:by|on) \(([^)]*)\)")
_RANGE: Final = re.compile(r"\[\d+[smhd]\]")


def collectors() -> list[Counter | Gauge | Histogram]:
    """Each metric once: children that are bound beforehand share their parent's name."""
    return [one for one in vars(metrics).values() if isinstance(one, Counter | Gauge | Histogram)]


def exported() -> dict[str, set[str]]:
    """Every sample that our processes export, with its labels."""
    samples: dict[str, set[str]] = {}
    for collector in collectors():
        labels, name = set(collector._labelnames), collector._name
        if isinstance(collector, Histogram):
            samples |= {f"{name}_bucket": {*labels, "le"}, f"{name}_count": labels, f"{name}_sum": labels}
        else:
            samples[f"{name}_total" if isinstance(collector, Counter) else name] = labels
    return samples


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((OPERATIONS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in json.loads((OPERATIONS / "grafana-dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['refId']}", target["expr"]


def unknown_words(expression: str) -> set[str]:
    """Names of metrics and labels in `expression` that nobody exports."""
    samples = exported() | FOREIGN
    bare = _RANGE.sub("", _STRINGS.sub("", expression))
    used: set[str] = set()
    wrong: set[str] = set()
    for name, matchers in _SELECTOR.findall(bare):
        labels = {part.strip(" =~!") for part in matchers.split(",")}
        wrong |= {f"{name}{{{label}}}" for label in labels - samples.get(name, set())}
    grouped = {label.strip() for labels in _GROUPING.findall(bare) for label in labels.split(",")}
    rest = _GROUPING.sub("", _SELECTOR.sub(r"\1", bare))
    for word in re.findall(r"[a-z_][a-z_0-9:]*", rest):
        if word in samples:
            used.add(word)
        elif word not in FUNCTIONS:
            wrong.add(word)
    return wrong | (grouped - {label for name in used for label in samples[name]})


@pytest.mark.parametrize(("where", "expression"), list(expressions()), ids=lambda given: given[:40])
def test_an_expression_uses_only_what_the_code_exports(where: str, expression: str) -> None:
    assert unknown_words(expression) == set(), where


def test_a_name_that_nobody_exports_is_found() -> None:
    assert unknown_words("sum by (colour) (rate(batchpay_payment_steps_total[5m]))") == {"colour"}
    assert unknown_words('max(batchpay_payments{kind="x"})') == {"batchpay_payments{kind}"}
    assert unknown_words("max(batchpay_payment)") == {"batchpay_payment"}


def test_every_alert_has_a_page_that_says_what_to_do_and_every_page_an_alert() -> None:
    assert {path.stem for path in RUNBOOK.iterdir()} == {rule["alert"] for rule in alerts()}
    for rule in alerts():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        page = ROOT / rule["annotations"]["runbook_url"]
        assert page == RUNBOOK / f"{rule['alert']}.md"
        text = page.read_text()
        for part in ("It means:", "Is money affected?", "Look at", "Do", "Wake:"):
            assert f"**{part}" in text, (rule["alert"], part)


def test_a_page_names_only_pages_that_there_are() -> None:
    for page in RUNBOOK.iterdir():
        for link in re.findall(r"\]\(([^)]+\.md)\)", page.read_text()):
            assert (RUNBOOK / link).exists(), (page.name, link)


def names() -> list[str]:
    return [name for name, one in vars(metrics).items() if isinstance(one, Counter | Gauge | Histogram)]


@pytest.mark.parametrize("name", names())
def test_a_metric_is_moved_by_some_process(name: str, code: str) -> None:
    # Counted by a function beside it, or bound beforehand under the public name.
    indirect = {"PAYMENT_STEPS": "count_steps", "_CHARGE_REQUEST_SECONDS": "CHARGE_REQUEST_SECONDS"}
    assert re.search(rf"\b{indirect.get(name, name)}\b", code)


@pytest.fixture(scope="module")
def code() -> str:
    """All of ours but the metrics' own module."""
    files = (path for folder in ("services", "shared", "workers") for path in (ROOT / folder).rglob("*.py"))
    return "\n".join(path.read_text() for path in files if path != Path(metrics.__file__))
