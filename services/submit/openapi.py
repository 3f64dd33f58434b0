"""`python -m services.submit.openapi`: writes the HTTP interface to `schemas/openapi.json`. `--check` only compares."""

import sys
from typing import Final

from pydantic import SecretStr

from schemas.export import export, text
from services.submit.api import create_app
from shared.settings import SubmitSettings

# The document depends on neither; a service without them does not start.
_SETTINGS: Final = SubmitSettings(database_url="postgresql://nowhere", jwt_secret=SecretStr("0" * 32))


def documents() -> dict[str, str]:
    """The file by its path in `schemas`."""
    return {"openapi.json": text(create_app(_SETTINGS).openapi())}


if __name__ == "__main__":
    sys.exit(export(documents(), check="--check" in sys.argv[1:]))
