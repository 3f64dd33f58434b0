"""Named SQL: `shared/store/sql/<file>.sql` holds statements, each under a line `-- name: <snake_case>`.

SQL = load("outbox")
connection.execute(SQL["take_events"], {"limit": 500})
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, LiteralString, cast

FOLDER: Final = Path(__file__).parent / "sql"
_NAME_LINE: Final = re.compile(r"^-- name: ([a-z][a-z0-9_]*)$", re.MULTILINE)


@cache
def load(file: str) -> Mapping[str, LiteralString]:
    """The statements of one file by name, in the file's order. Text before the first name is the file's comment.

    The statements are typed as literals because they are: they come with the code and no input reaches them.
    Raises ValueError for a file without statements, an empty statement and a name that is used twice.
    """
    _, *parts = _NAME_LINE.split((FOLDER / f"{file}.sql").read_text(encoding="utf-8"))
    names, bodies = parts[::2], [body.strip().removesuffix(";") for body in parts[1::2]]
    if not names or len(set(names)) != len(names) or not all(bodies):
        raise ValueError(f"{file}.sql needs statements with distinct names, none of them empty; it has {names}")
    return MappingProxyType(dict(zip(names, cast("list[LiteralString]", bodies), strict=True)))
