"""The command line `batchpay`: one module per command, imported when it is called, because some take seconds to."""

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from services.cli.printing import fail

# By name, in the order of the help: module and what it offers, a command or an app of its own.
COMMANDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "submit": ("submit", "submit"),
        "status": ("status", "status"),
        "history": ("history", "history"),
        "report": ("report", "report"),
        "void": ("void", "void"),
        "refund": ("refund", "refund"),
        "trace": ("trace", "trace"),
        "queues": ("queues", "queues"),
        "deadletters": ("deadletters", "app"),
        "webhooks": ("webhooks", "app"),
        "pause": ("pause", "pause"),
        "resume": ("pause", "resume"),
        "import": ("import_folder", "import_folder"),
        "reconcile": ("reconcile", "reconcile"),
        "findings": ("findings", "app"),
        "review": ("review", "app"),
        "restore-drill": ("restore_drill", "restore_drill"),
        "token": ("token", "token"),
        "sign-in": ("sign_in", "sign_in"),
        "migrate": ("migrate", "migrate"),
        "demo": ("demo", "run"),
        "demo-day": ("demo_day", "run"),
        "up": ("up", "run"),
    }
)


class Commands(TyperGroup):
    """Imports a command's module when it is asked for, and says what is wrong in the words of who can mend it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as error:
            # Half a second of imports that a command which does its work need not pay.
            from services.cli.explaining import explanation  # noqa: PLC0415

            said = explanation(error)
            if said is None:
                raise
            fail(said)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # typer's signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  # typer's signature
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        try:
            offered = getattr(import_module(f"services.cli.{module}"), attribute)
        except ModuleNotFoundError as error:
            # The image has none of what development needs, and must still list its commands.
            offered = _needs_development(str(error.name))
        app = offered if isinstance(offered, typer.Typer) else typer.Typer(add_completion=False)
        if app is not offered:
            app.command(cmd_name)(offered)
        command = get_command(app)
        assert isinstance(command, TyperCommand | TyperGroup)
        command.name = cmd_name
        return command


def _needs_development(module: str) -> Callable[[], None]:
    def unavailable() -> None:
        """Not in this installation: it needs the extra `development` of the package."""
        fail(f"The Python package {module} is missing. Install it with: pip install 'batchpay[development]'")

    return unavailable


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def batchpay() -> None:
    """Charge many clients' stored payment methods for their open invoices, and see what became of it."""
