"""Answers that are almost right: seeded mutations of a genuine one, of its bytes and of its structure."""

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any
from xml.etree import ElementTree as ET

_TOKENS = (
    b"null",
    b"true",
    b"0",
    b"00",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\0",
    b"\xff",
    b"<",
    b">",
    b"&",
)
# What a field may hold instead: other types of the same value, edges of numbers, and words that mean something.
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, 12_345.0, 12_500.0, 10**30, "", "0", "00", "51", "x", [], {}, ["00"], {"a": 1}),
    *("SUCCESS", "FAILURE", "Success", "Declined", "success", "Success ", "SUCCESS\0"),
    *("succeeded", "Succeeded", "processing", "requires_action", "requires_capture", "canceled", "payment_intent"),
    *("CCDebitPending", "CCDebitVoided", "CCDebitDeclined", "Not_Found", "77", "+CC", "-CC", "+CC Void", "125.00"),
)
_OPERATIONS_MOST = 3


def mutations(answer: bytes, *, seed: int, count: int) -> Iterator[bytes]:
    """`count` mutations of an answer in JSON or XML, the same ones for the same seed; some may still be right."""
    random = Random(seed)
    structural = _xml_mutation if answer.startswith(b"<") else _json_mutation
    for number in range(count):
        yield structural(answer, random) if number % 2 else byte_mutation(answer, random)


def byte_mutation(data: bytes, random: Random) -> bytes:
    mutated = bytearray(data)
    for _ in range(random.randint(1, _OPERATIONS_MOST)):
        random.choice(_BYTE_OPERATIONS)(mutated, random)
    return bytes(mutated)


def _flip(data: bytearray, random: Random) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _digit(data: bytearray, random: Random) -> None:
    digits = [place for place, byte in enumerate(data) if chr(byte).isdigit()]
    if digits:
        data[random.choice(digits)] = ord(random.choice("0123456789"))


def _insert(data: bytearray, random: Random) -> None:
    place = random.randint(0, len(data))
    data[place:place] = random.choice(_TOKENS)


def _cut(data: bytearray, random: Random) -> None:
    del data[random.randint(0, len(data)) :]


def _delete(data: bytearray, random: Random) -> None:
    place = random.randint(0, len(data))
    del data[place : place + random.randint(1, 8)]


def _repeat(data: bytearray, random: Random) -> None:
    place = random.randint(0, len(data))
    data[place:place] = data[place : place + random.randint(1, 40)]


_BYTE_OPERATIONS: tuple[Callable[[bytearray, Random], None], ...] = (_flip, _digit, _insert, _cut, _delete, _repeat)


def _json_mutation(answer: bytes, random: Random) -> bytes:
    root = {"": json.loads(answer)}
    for _ in range(random.randint(1, _OPERATIONS_MOST)):
        places = list(_places(root))
        if places:
            _change(*random.choice(places), random)
    return json.dumps(root.get("")).encode()


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    """Every field and item, with what holds it."""
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])


def _change(holder: Any, key: Any, random: Random) -> None:
    match random.randrange(6):
        case 0:
            del holder[key]
        case 1:
            holder[key] = copy.deepcopy(random.choice(_VALUES))
        case 2:
            holder[key] = str(holder[key])
        case 3:
            holder[key] = [holder[key]]
        case 4 if isinstance(holder, dict):
            holder[random.choice((key.lower(), key.upper(), f"{key} ", f"_{key}"))] = holder.pop(key)
        case 4:
            holder.append(copy.deepcopy(holder[key]))
        case _:
            other = random.choice([place for _, place in _places(holder) if isinstance(place, type(key))] or [key])
            holder[key] = copy.deepcopy(holder.get(other) if isinstance(holder, dict) else holder[key])


def _xml_mutation(answer: bytes, random: Random) -> bytes:
    root = ET.fromstring(answer)  # noqa: S314  # our own
    for _ in range(random.randint(1, _OPERATIONS_MOST)):
        parents = [element for element in root.iter() if len(element)]
        if parents:
            _change_element(random.choice(parents), random)
    return ET.tostring(root)


def _change_element(parent: ET.Element, random: Random) -> None:
    element = random.choice(list(parent))
    match random.randrange(4):
        case 0:
            parent.remove(element)
        case 1:
            element.text = str(random.choice(_VALUES)).replace("\0", "")
        case 2:
            element.tag = random.choice((element.tag.lower(), element.tag.upper(), f"{element.tag}x"))
        case _:
            parent.append(copy.deepcopy(element))
