"""`python -m schemas.export`: writes what the messages look like, for every language. `--check` only compares.

JSON Schemas into `schemas/json/`, and the AsyncAPI document that refers to the same models. The HTTP interface is
written by `python -m services.submit.openapi`.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from schemas.asyncapi import asyncapi
from schemas.catalog import CATALOG, Entry

FOLDER: Final = Path(__file__).parent
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def main(arguments: list[str]) -> int:
    return export(documents(), check="--check" in arguments)


def documents() -> dict[str, str]:
    """The files by their path in this folder."""
    files = {f"json/{entry.file}": text(json_schema(entry)) for entry in CATALOG}
    return files | {"asyncapi.json": text(asyncapi())}


def json_schema(entry: Entry) -> dict[str, Any]:
    """What a message looks like. Who gets one must ignore fields that it does not know: new ones may be added."""
    schema = entry.model.model_json_schema(mode=entry.mode)
    if entry.ours:
        schema = _open(schema)
    return {"$schema": _DRAFT, "$id": f"urn:batchpay:{entry.name}:v{entry.version}", **schema}


def _open(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _open(part) for name, part in schema.items() if (name, part) != ("additionalProperties", False)}
    return [_open(part) for part in schema] if isinstance(schema, list) else schema


def text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def export(files: Mapping[str, str], *, check: bool, folder: Path = FOLDER) -> int:
    """Write what differs, or only name it; an exit code: 1 if something differs and may not be written."""
    different = [name for name, wanted in files.items() if _read(folder / name) != wanted]
    for name in different:
        print(f"{'differs from the code' if check else 'written'}: schemas/{name}")  # noqa: T201  # this is a command
        if not check:
            (folder / name).write_text(files[name], encoding="utf-8")
    return 1 if check and different else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
