"""How a simulated token behaves: one closed set of kinds, written as `kind` or `kind:argument` in the vault."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Self


class Kind(StrEnum):
    APPROVE = "approve"
    DECLINE = "decline"  # decline:CODE, the processor's own code, any level of its code list
    SLOW = "slow"  # slow:MILLISECONDS, then approve
    HANG_BEFORE_EXECUTE = "hang_before_execute"
    HANG_AFTER_EXECUTE = "hang_after_execute"
    RESET_BEFORE_EXECUTE = "reset_before_execute"
    RESET_AFTER_EXECUTE = "reset_after_execute"
    HTTP_500_BEFORE = "http_500_before"
    HTTP_500_AFTER = "http_500_after"
    RATE_LIMITED = "rate_limited"  # rate_limited:N, the first N sends are refused with 429, later ones approved
    TRUNCATED_AFTER_EXECUTE = "truncated_after_execute"  # half of the announced body, then the connection closes
    GARBLED_AFTER_EXECUTE = "garbled_after_execute"  # announced as JSON, is not
    HTML_AFTER_EXECUTE = "html_after_execute"  # a load balancer's page with status 200
    GATEWAY = "gateway"  # gateway:207_charged, gateway:207_not_charged (Vantage)
    PSEUDO_APPROVAL = "pseudo_approval"  # pseudo_approval:CODE, listed as approval and moves no money (Vantage)
    DUPLICATE = "duplicate"  # an earlier copy executed; this answer is the duplicate refusal (Vantage)
    INTERNAL_TIMEOUT = "internal_timeout"  # internal_timeout:executed, internal_timeout:not_executed (Vantage, 60 s)
    EXECUTE_LATE = "execute_late"  # execute_late:SECONDS, the connection is reset now, money moves then
    PROCESSING = "processing"  # accepted, finished later (Stripe bank debits)
    REQUIRES_ACTION = "requires_action"  # the bank wants the client (Stripe)


_NUMBERED = frozenset({Kind.SLOW, Kind.RATE_LIMITED, Kind.EXECUTE_LATE})
_CODED = frozenset({Kind.DECLINE, Kind.PSEUDO_APPROVAL})
_CHOICES: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        Kind.GATEWAY: ("207_charged", "207_not_charged"),
        Kind.INTERNAL_TIMEOUT: ("executed", "not_executed"),
    }
)


class UnknownBehaviourError(ValueError):
    """A behaviour text that is not in the closed set; the message names the value and what is allowed."""


def allowed() -> str:
    """All behaviours as one line for messages."""
    words: list[str] = []
    for kind in Kind:
        if kind in _NUMBERED:
            words.append(f"{kind}:NUMBER")
        elif kind in _CODED:
            words.append(f"{kind}:CODE")
        else:
            words.extend(f"{kind}:{choice}" for choice in _CHOICES[kind]) if kind in _CHOICES else words.append(kind)
    return ", ".join(words)


@dataclass(frozen=True, slots=True)
class Behaviour:
    kind: Kind
    argument: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `kind[:argument]`. Raises UnknownBehaviourError."""
        word, _, argument = text.strip().partition(":")
        if word not in Kind.__members__.values():
            raise UnknownBehaviourError(f"behaviour {text!r} is unknown; allowed: {allowed()}")
        behaviour = cls(Kind(word), argument)
        if not behaviour._is_well_formed():
            raise UnknownBehaviourError(f"behaviour {text!r} has a wrong argument; allowed: {allowed()}")
        return behaviour

    @property
    def number(self) -> int:
        """The argument of a numbered kind: milliseconds, a count or seconds."""
        return int(self.argument)

    @property
    def text(self) -> str:
        return f"{self.kind}:{self.argument}" if self.argument else str(self.kind)

    def _is_well_formed(self) -> bool:
        if self.kind in _NUMBERED:
            return self.argument.isascii() and self.argument.isdigit()
        if self.kind in _CODED:
            return bool(self.argument)
        return self.argument in _CHOICES.get(self.kind, ("",))


APPROVE = Behaviour(Kind.APPROVE)
