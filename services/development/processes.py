"""The processes of Batchpay, and when each of them is ready."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

Ready = Callable[[Path], bool]
"""Whether a process is ready to work, given its log file."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process of the stack: `python -m module`, with `environment` added to the supervisor's own.

    `drained_last` is for what the others need while they drain, as a simulator.
    """

    name: str
    module: str
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Ready | None = None
    drained_last: bool = False


MODULES: Mapping[str, tuple[str, Mapping[str, str]]] = MappingProxyType(
    {
        "simulator-vantage": ("workers.simulators.vantage", {}),
        "simulator-stripe": ("workers.simulators.stripe", {}),
        "submit": ("services.submit", {}),
        "ingress": ("services.submit.amqp", {}),
        "relay": ("services.relay", {}),
        "aggregator": ("services.aggregator", {}),
        "notify": ("services.notify", {}),
        "charge-vantage": ("workers.charge", {"BATCHPAY_CHARGE_PROCESSOR": "vantage"}),
        "charge-stripe": ("workers.charge", {"BATCHPAY_CHARGE_PROCESSOR": "stripe"}),
        "voids": ("workers.voids", {}),
        "webhooks": ("workers.webhooks", {}),
        "janitor": ("workers.janitor", {}),
    }
)


def processes(
    environment: Mapping[str, str],
    *,
    also: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ready: Mapping[str, Ready] = MappingProxyType({}),
) -> list[Process]:
    """The whole of Batchpay with simulated processors.

    Every process gets `environment`; process N gets `also[N]` on top and is ready when `ready[N]` says so.
    """
    unknown = (also.keys() | ready.keys()) - MODULES.keys()
    if unknown:
        raise ValueError(f"no such process: {', '.join(sorted(unknown))}; there are: {', '.join(MODULES)}")
    return [
        Process(
            name=name,
            module=module,
            environment={**environment, **own, **also.get(name, {})},
            ready=ready.get(name),
            drained_last=name.startswith("simulator-"),
        )
        for name, (module, own) in MODULES.items()
    ]


def answers(url: str) -> Ready:
    """Ready when a GET of `url` is answered with a 2xx status."""
    address = urlsplit(url)
    assert address.hostname is not None, f"no host in {url!r}"
    host, port, target = address.hostname, address.port, address.path or "/"

    def ready(_log: Path) -> bool:
        connection = HTTPConnection(host, port, timeout=2.0)
        try:
            connection.request("GET", target)
            return 200 <= connection.getresponse().status < 300
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    return ready


def logged(text: str) -> Ready:
    """Ready when `text` stands in the log."""
    return lambda log_file: text in log_file.read_text(errors="replace")
