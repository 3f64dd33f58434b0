"""Every metric, under one roof: what an operator can ask a process. Labels hold our own words, never anybody's data.

A process exports all of them and moves those that it has to do with. Gauges that are read from PostgreSQL are set by
janitors; with several of them each tells the same, so take the maximum.
"""

from collections import Counter as Tally
from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from shared.domain.answers import Blame
from shared.domain.snapshot import Step
from shared.domain.words import ProcessorName

# A processor answers in tenths of seconds, or in a minute when it is in trouble.
_REQUEST_BUCKETS_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 75.0)
_CONFIRM_BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0)
_ROUND_BUCKETS_S: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0)

# Payments -------------------------------------------------------------------------------------------------------------

PAYMENT_STEPS: Final = Counter(
    "batchpay_payment_steps_total", "Committed steps of payments.", ["processor", "event", "state"]
)
_CHARGE_REQUEST_SECONDS: Final = Histogram(
    "batchpay_charge_request_seconds",
    "From sending a charge until the processor answered or was given up.",
    ["processor"],
    buckets=_REQUEST_BUCKETS_S,
)
# Bound beforehand: a charge pays for an observation and for no lookup of labels.
CHARGE_REQUEST_SECONDS: Final = {name: _CHARGE_REQUEST_SECONDS.labels(name) for name in ProcessorName}
ACCOUNT_HOLDS: Final = Counter(
    "batchpay_account_holds_total", "Merchant accounts that were stopped for a while.", ["processor", "blame"]
)
# A series that begins with its first hold would show no increase: it is there, at nought, from the start.
for _name in ProcessorName:
    for _blame in Blame:
        ACCOUNT_HOLDS.labels(_name, _blame)

# What janitors read from PostgreSQL -----------------------------------------------------------------------------------

PAYMENTS: Final = Gauge(
    "batchpay_payments",
    "Payments that may still change by themselves; of those queued, the due ones.",
    ["processor", "state"],
)
PAYMENTS_OLDEST: Final = Gauge(
    "batchpay_payments_oldest_seconds",
    "Age of the oldest: queued since it was due; unknown and processing since it was first sent; voiding since it was"
    " asked for; others since their last step.",
    ["processor", "state"],
)
PROCESSOR_PAUSED: Final = Gauge(
    "batchpay_processor_paused", "1 while people let no charge begin at a processor.", ["processor"]
)
PAYMENTS_IN_REVIEW: Final = Gauge("batchpay_payments_in_review", "Payments that wait for a person.")
OUTBOX_ROWS: Final = Gauge("batchpay_outbox_rows", "Due messages that have not left for RabbitMQ.", ["lane"])
OUTBOX_OLDEST: Final = Gauge("batchpay_outbox_oldest_seconds", "Age of the oldest due message.", ["lane"])
FINDINGS: Final = Gauge("batchpay_findings_open", "Findings that nobody has resolved.", ["kind"])
DELIVERIES: Final = Gauge("batchpay_webhook_deliveries_waiting", "Webhook deliveries that are due and not done.")
DELIVERIES_OLDEST: Final = Gauge("batchpay_webhook_oldest_seconds", "Age of the oldest delivery that is not done.")
SUBSCRIPTIONS_DISABLED: Final = Gauge(
    "batchpay_webhook_subscriptions_disabled", "Webhook subscriptions that failed for too long."
)
BACKLOG_READ: Final = Gauge("batchpay_backlog_read_timestamp_seconds", "When the gauges above were last read.")
INVARIANT_VIOLATIONS: Final = Gauge("batchpay_invariant_violations", "Rows that break a rule.", ["rule"])
INVARIANTS_CHECKED: Final = Gauge("batchpay_invariants_checked_timestamp_seconds", "When the rules were last checked.")

# Messages -------------------------------------------------------------------------------------------------------------

QUEUE_MESSAGES: Final = Gauge(
    "batchpay_queue_messages", "Messages ready in a queue, as a relay saw it; `.XQ` holds dead letters.", ["queue"]
)
PUBLISHED: Final = Counter("batchpay_published_total", "Messages that RabbitMQ confirmed, or did not.", ["confirmed"])
CONFIRM_SECONDS: Final = Histogram(
    "batchpay_publish_confirm_seconds",
    "From publishing a window of messages until all of them were answered.",
    buckets=_CONFIRM_BUCKETS_S,
)
RATE_LIMIT_WAITS: Final = Counter(
    "batchpay_rate_limit_waits_total", "Looks at a lane that published nothing because of its rate limits.", ["lane"]
)
REDELIVERIES: Final = Counter("batchpay_redeliveries_total", "Messages that RabbitMQ delivered again.", ["queue"])
STALE_ACKNOWLEDGEMENTS: Final = Counter(
    "batchpay_stale_acknowledgements_total", "Acknowledgements of messages from a lost connection.", ["queue"]
)
REJECTED_MESSAGES: Final = Counter(
    "batchpay_rejected_messages_total", "Messages that went to the dead letters.", ["queue"]
)
FAILED_MESSAGES: Final = Counter("batchpay_failed_messages_total", "Messages whose actor raised an error.", ["actor"])

# The aggregator, submit and notify ------------------------------------------------------------------------------------

AGGREGATION_SECONDS: Final = Histogram(
    "batchpay_aggregation_seconds", "One round of recomputing batches.", buckets=_ROUND_BUCKETS_S
)
HTTP_REQUEST_SECONDS: Final = Histogram(
    "batchpay_http_request_seconds",
    "From a request until its answer begins.",
    ["method", "status"],
    buckets=_ROUND_BUCKETS_S,
)
WEBHOOK_SENDS: Final = Counter("batchpay_webhook_sends_total", "Webhook requests by how they ended.", ["outcome"])
WEBHOOK_SEND_SECONDS: Final = Histogram(
    "batchpay_webhook_send_seconds", "One webhook request.", buckets=_REQUEST_BUCKETS_S
)


def count_steps(steps: Iterable[Step]) -> None:
    """Count committed steps: once for each kind in the group, however many there are of it."""
    kinds = Tally((step.after.processor, step.event, step.after.state) for step in steps)
    for (processor, event, state), count in kinds.items():
        PAYMENT_STEPS.labels(processor, event, state).inc(count)
