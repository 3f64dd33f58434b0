"""What the metrics of this process show; counters only grow, so tests look at differences."""

from prometheus_client import REGISTRY


def shown(name: str, **labels: str) -> float:
    """The value of `batchpay_NAME` with these labels; 0 where it was never moved."""
    return REGISTRY.get_sample_value(f"batchpay_{name}", labels) or 0.0
