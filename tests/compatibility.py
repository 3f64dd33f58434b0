"""What a change of a JSON Schema breaks for those who rely on the released one."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
# They describe, they do not promise.
_WORDS = {"title", "description", "default", "examples", "$schema", "$id", "$defs"}
# They are looked into, wherever they stand.
_INNER = {"properties", "required", "additionalProperties", "items"}


def breaks(released: Schema, current: Schema, *, ours: bool) -> list[str]:
    """Each broken promise by the path of its field.

    What we send (`ours`) must hold every field that it held, and no value that it could not have. What we receive must
    be taken as before: no field more is required, and no value is refused that was taken.
    """
    return list(_compared(_Side(released, released), _Side(current, current), "", ours=ours))


class _Side:
    """A schema, with the document that its references are to."""

    def __init__(self, document: Schema, part: Schema) -> None:
        while "$ref" in part:
            part = document["$defs"][part["$ref"].rpartition("/")[2]]
        self.document, self.part = document, part

    def field(self, name: str) -> "_Side":
        return _Side(self.document, self.part["properties"][name])

    def alternatives(self) -> list["_Side"]:
        if "anyOf" in self.part:
            return [_Side(self.document, one) for one in self.part["anyOf"]]
        return [self]

    def only_one_with(self, kind: str) -> "_Side | None":
        """The alternative that is an object, or a list."""
        found = [one for one in self.alternatives() if kind in one.part]
        assert len(found) <= 1, f"two alternatives with {kind} cannot be compared"
        return found[0] if found else None

    @property
    def items(self) -> "_Side":
        return _Side(self.document, self.part["items"])

    @property
    def properties(self) -> set[str]:
        return set(self.part.get("properties", ()))

    @property
    def required(self) -> set[str]:
        return set(self.part.get("required", ()))

    def values(self) -> set[str]:
        """Each value, or each kind of values, that may stand here."""
        if "enum" in self.part:
            return {json.dumps(value) for value in self.part["enum"]}
        if "const" in self.part:
            return {json.dumps(self.part["const"])}
        bounds = {name: value for name, value in self.part.items() if name not in _WORDS | _INNER}
        return {json.dumps(bounds, sort_keys=True)}


def _compared(released: _Side, current: _Side, path: str, *, ours: bool) -> Iterator[str]:
    for kind in ("properties", "items"):
        pair = released.only_one_with(kind), current.only_one_with(kind)
        if pair[0] and pair[1] and kind == "properties":
            yield from _fields(pair[0], pair[1], path, ours=ours)
        elif pair[0] and pair[1]:
            yield from _compared(pair[0].items, pair[1].items, f"{path}[]", ours=ours)
    then = {value for one in released.alternatives() for value in one.values()}
    now = {value for one in current.alternatives() for value in one.values()}
    for value in sorted(now - then if ours else then - now):
        yield f"{path}: {value} {'is new' if ours else 'is refused'}"


def _fields(released: _Side, current: _Side, path: str, *, ours: bool) -> Iterator[str]:
    for name in sorted(released.properties - current.properties):
        yield f"{path}.{name}: is gone"
    if ours:
        for name in sorted((released.required - current.required) & current.properties):
            yield f"{path}.{name}: may be missing now"
    else:
        for name in sorted(current.required - released.required):
            yield f"{path}.{name}: is required now"
    for name in sorted(released.properties & current.properties):
        yield from _compared(released.field(name), current.field(name), f"{path}.{name}", ours=ours)
