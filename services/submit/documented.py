"""What OpenAPI says about failures: each route names the problems that it can end with."""

from typing import Any, Final

from schemas.http import Problem
from services.submit.problems import MEDIA_TYPE

_SAID: Final = {
    400: "The body cannot be read. Nothing was taken.",
    401: "No token, or one that is refused.",
    403: "The permission is missing, or the practice is not known.",
    404: "There is nothing of this id that the caller may see.",
    409: "What is there does not allow it: `code` says why. Nothing was saved.",
    413: "The body is too long.",
    415: "The body is of a kind that this address does not take.",
    422: "The request is wrong, or invoices cannot be charged: every fault with its fix. Nothing was saved.",
    429: "The practice submits too often. Nothing was saved; wait as long as `Retry-After` says.",
    503: "The database did not answer. Sending the request again is safe.",
}
_EVERYWHERE: Final = (401, 403, 422, 503)


def problems(*more: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: problems that every route has and `more`."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _SAID[status], "content": content} for status in sorted({*_EVERYWHERE, *more})}


def add_problem_schema(document: dict[str, Any]) -> dict[str, Any]:
    """Put the model that `problems` refers to into the document."""
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    components = document.setdefault("components", {}).setdefault("schemas", {})
    components.update(schema.pop("$defs", {}))
    components["Problem"] = schema
    return document
