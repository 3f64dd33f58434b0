"""The command line `batchpay`: one module per command, registered here."""

import typer

from services.cli import demo, demo_day, findings, review, up
from services.cli.import_folder import import_folder
from services.cli.migrate import migrate
from services.cli.reconcile import reconcile
from services.cli.sign_in import sign_in
from services.cli.token import token

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("import")(import_folder)
app.command()(migrate)
app.command()(reconcile)
app.command()(token)
app.command("sign-in")(sign_in)
app.command("demo")(demo.run)
app.command("demo-day")(demo_day.run)
app.command("up")(up.run)
app.add_typer(findings.app, name="findings")
app.add_typer(review.app, name="review")
