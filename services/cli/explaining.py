"""What a command says when it cannot do its work: what is wrong, and the fix. Loaded when something is wrong only."""

import psycopg
from pika.exceptions import AMQPError
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from shared.store.migrate import WrongEncodingError

_NO_DATABASE = "The database of BATCHPAY_DATABASE_URL does not answer: {}. Is it running, and is the address right?"
_NO_RABBITMQ = "RabbitMQ of BATCHPAY_AMQP_URL does not answer: {}. Is it running, and is the address right?"
_OTHER_RELEASE = "The database of BATCHPAY_DATABASE_URL is of another release. Run `batchpay migrate`."


def explanation(error: Exception) -> str | None:
    """None for what only our own code can have done: that is a bug, and wants its traceback."""
    match error:
        case ValidationError() if error.title.endswith("Settings"):
            return _settings(error)
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedColumn() | psycopg.errors.UndefinedFunction():
            return _OTHER_RELEASE
        case psycopg.OperationalError():
            return _NO_DATABASE.format(_first_line(error))
        case OperationalError() if error.orig is not None:
            return _NO_DATABASE.format(_first_line(error.orig))
        case AMQPError():
            return _NO_RABBITMQ.format(_innermost(error))
        case WrongEncodingError():
            return str(error)
        case _:
            return str(error) if isinstance(error, _of_development()) else None


def _of_development() -> tuple[type[Exception], ...]:
    """What a sandbox and its servers raise; an installed system has none of them."""
    try:
        from services.development.local import ServerStartFailed  # noqa: PLC0415
        from services.development.stack import ProcessNotReady  # noqa: PLC0415
    except ModuleNotFoundError:
        return ()
    return (ServerStartFailed, ProcessNotReady)


def _settings(error: ValidationError) -> str:
    """Names variables, and never their values: some are secrets."""
    return "\n".join(_fault(str(one["loc"][0]).upper(), one) for one in error.errors(include_input=False))


def _fault(name: str, fault: object) -> str:
    assert isinstance(fault, dict)
    match fault["type"]:
        case "missing":
            return f"BATCHPAY_{name} is not set."
        case "string_pattern_mismatch":
            return f"BATCHPAY_{name} must be of the form {fault['ctx']['pattern']}."
        case _:
            return f"BATCHPAY_{name}: {fault['msg']}."


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".")


def _innermost(error: BaseException) -> str:
    """Pika wraps what the operating system said three times."""
    while error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    inner = getattr(error, "exception", None)
    return _innermost(inner) if isinstance(inner, BaseException) else str(error) or type(error).__name__
