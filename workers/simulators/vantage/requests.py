"""Reading ProtectPay request bodies the way a .NET service does: any case of keys, numbers also as digit strings."""

import json
from collections.abc import Mapping
from typing import Any


class MalformedError(Exception):
    """The body cannot be deserialised; the service answers 400 with an HTML page."""


class Body:
    """A JSON object whose keys match in any case. Every getter raises MalformedError for a value of a wrong type."""

    def __init__(self, raw: bytes) -> None:
        try:
            value = json.loads(raw)
        except ValueError as error:
            raise MalformedError("the body is not JSON") from error
        if not isinstance(value, dict):
            raise MalformedError("the body is not a JSON object")
        self._values: Mapping[str, Any] = {key.lower(): each for key, each in value.items()}

    def text(self, name: str, *, required: bool = False) -> str:
        value = self._value(name, required=required)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise MalformedError(f"{name} is not a string")
        return str(value)

    def number(self, name: str, *, required: bool = False) -> int:
        value = self._value(name, required=required)
        if isinstance(value, str) and (value == "" or value.lstrip("-").isdigit()):
            return int(value or 0)
        if isinstance(value, bool) or not isinstance(value, int):
            raise MalformedError(f"{name} is not a whole number")
        return value

    def digits(self, name: str) -> str:
        """An id as a string of digits; absent, null and 0 all mean "not given"."""
        number = self.number(name)
        return str(number) if number else ""

    def require(self, name: str) -> None:
        self._value(name, required=True)

    def _value(self, name: str, *, required: bool) -> Any:
        value = self._values.get(name.lower())
        if value is None:
            if required:
                raise MalformedError(f"{name} is missing")
            return ""
        return value
