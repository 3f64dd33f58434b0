"""The documents for other languages are those of the code, and keep what a release has promised."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from schemas import export
from schemas.catalog import CATALOG, Entry
from services.submit import openapi
from tests.compatibility import breaks

SCHEMAS = Path(export.__file__).parent
RELEASED = SCHEMAS / "released"
NODE = Path(__file__).parents[1] / "node"


def released(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RELEASED / name).read_text(encoding="utf-8"))
    return found


def test_the_documents_are_those_of_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    files = export.documents() | openapi.documents()
    assert export.export(files, check=True) == 0, f"run `make schemas`: {capsys.readouterr().out}"


def test_no_document_is_left_over() -> None:
    there = {f"json/{path.name}" for path in (SCHEMAS / "json").iterdir()}
    assert there == {name for name in export.documents() if name.startswith("json/")}


def test_a_difference_is_named_and_only_written_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"a.json": export.text({"a": 1})}
    assert export.export(files, check=True, folder=tmp_path) == 1
    assert "schemas/a.json" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert export.export(files, check=False, folder=tmp_path) == 0
    assert export.export(files, check=True, folder=tmp_path) == 0


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_what_was_released_is_still_kept(entry: Entry) -> None:
    assert breaks(released(entry.file), export.json_schema(entry), ours=entry.ours) == []


def test_nothing_released_is_gone() -> None:
    assert {path.name for path in RELEASED.iterdir()} <= {entry.file for entry in CATALOG}


def test_the_asyncapi_document_is_valid_by_its_official_parser() -> None:
    parsed = subprocess.run(
        ["node", str(NODE / "validate.mjs"), str(SCHEMAS / "asyncapi.json")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert parsed.returncode == 0, parsed.stdout + parsed.stderr
    assert f"{len(CATALOG)} channels" in parsed.stdout


def test_the_official_parser_refuses_what_is_no_asyncapi(tmp_path: Path) -> None:
    broken = json.loads((SCHEMAS / "asyncapi.json").read_text(encoding="utf-8"))
    del broken["info"]["version"]
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    command = ["node", str(NODE / "validate.mjs"), str(tmp_path / "broken.json")]
    parsed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert parsed.returncode == 1
    assert "version" in parsed.stdout


# --- What counts as broken --------------------------------------------------------------------------------------------


def changed(name: str, change: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    before = released(name)
    after = copy.deepcopy(before)
    change(after)
    return before, after


def gone(field: str) -> Any:
    def change(schema: dict[str, Any]) -> None:
        del schema["properties"][field]
        schema["required"] = [name for name in schema.get("required", []) if name != field]

    return change


def more(field: str, *, required: bool) -> Any:
    def change(schema: dict[str, Any]) -> None:
        schema["properties"][field] = {"type": "string"}
        schema["required"] = [*schema["required"], *([field] if required else [])]

    return change


def set_to(field: str, **part: Any) -> Any:
    def change(schema: dict[str, Any]) -> None:
        schema["properties"][field] = part

    return change


def inside(model: str, change: Any) -> Any:
    """The change of a model that others refer to, in a list or as one of several alternatives."""
    return lambda schema: change(schema["$defs"][model])


SENT, TAKEN = "payment_event.v1.json", "batch_request.v1.json"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (gone("amount_minor"), ".amount_minor: is gone"),
        (set_to("amount_minor", type="string"), '.amount_minor: {"type": "string"} is new'),
        (set_to("state", enum=["queued", "elsewhere"]), '.state: "elsewhere" is new'),
        (lambda schema: schema["required"].remove("sequence"), ".sequence: may be missing now"),
    ],
    ids=["gone", "retyped", "a new word", "optional"],
)
def test_what_receivers_rely_on_may_not_change(change: Any, said: str) -> None:
    assert said in breaks(*changed(SENT, change), ours=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (gone("practice"), ".practice: is gone"),
        (more("colour", required=True), ".colour: is required now"),
        (
            set_to("practice", type="integer"),
            '.practice: {"maxLength": 200, "minLength": 1, "type": "string"} is refused',
        ),
    ],
    ids=["gone", "required", "retyped"],
)
def test_what_senders_send_must_still_be_taken(change: Any, said: str) -> None:
    assert said in breaks(*changed(TAKEN, change), ours=False)


@pytest.mark.parametrize(
    ("name", "change", "ours", "said"),
    [
        ("batch_answer.v1.json", inside("Fault", gone("fix")), True, ".errors[].fix: is gone"),
        (TAKEN, inside("InvoiceFilter", gone("client")), False, ".matching.client: is gone"),
        (TAKEN, inside("ControlTotals", more("colour", required=True)), False, ".control.colour: is required now"),
        (TAKEN, set_to("invoices", type="array", items={"type": "integer"}), False, ".invoices[]: "),
    ],
    ids=["in a list", "one of two", "in an object", "retyped in a list"],
)
def test_what_lies_deeper_may_not_change_either(name: str, change: Any, *, ours: bool, said: str) -> None:
    assert [one for one in breaks(*changed(name, change), ours=ours) if one.startswith(said)]


@pytest.mark.parametrize(
    ("name", "change", "ours"),
    [
        (SENT, more("colour", required=True), True),
        (SENT, set_to("state", enum=["queued"]), True),
        (TAKEN, more("colour", required=False), False),
    ],
    ids=["a new field", "a word less", "a new optional field"],
)
def test_what_breaks_nobody_may_change(name: str, change: Any, *, ours: bool) -> None:
    assert breaks(*changed(name, change), ours=ours) == []
