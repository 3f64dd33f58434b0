"""What a process is told by its environment: variables that start with `BATCHPAY_`."""

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.domain.words import ProcessorName


class Settings(BaseSettings):
    """Settings that every process reads. A wrong value stops the process at start and names the variable."""

    model_config = SettingsConfigDict(env_prefix="BATCHPAY_", extra="ignore")

    # Part of every processor reference, so that two environments on one processor account cannot meet.
    environment: str = Field(default="dev", pattern=r"^[a-z0-9]{1,8}$")
    database_url: str = Field(pattern=r"^postgres(ql)?://")
    amqp_url: str = Field(default="amqp://guest:guest@127.0.0.1:5672/%2f", pattern=r"^amqps?://")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "pretty", "auto"] = "auto"
    # Metrics and health for operators; without a port there are none, and 0 takes a free one.
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=0, le=65535)


class SubmitSettings(Settings):
    """The submit service."""

    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8080, ge=0, le=65535)
    jwt_secret: SecretStr | None = None
    jwt_jwks_url: str | None = None
    jwt_issuer: str | None = None
    jwt_audience: str = "batchpay"


class WebhookSettings(Settings):
    """The receiver of the processors' webhooks."""

    webhook_host: str = "127.0.0.1"
    webhook_port: int = Field(default=8081, ge=0, le=65535)
    # Without it Stripe's webhooks are refused; reconciliation then tells later what they tell at once.
    stripe_webhook_secret: SecretStr | None = None


class WorkerSettings(Settings):
    """Processes that talk to processors. Credentials have no default: a worker without them does not start."""

    in_flight: int = Field(default=64, ge=1, le=10_000)
    drain_s: float = Field(default=30.0, gt=0)
    database_connections: int = Field(default=4, ge=2)
    sweep_every_s: float = Field(default=1.0, gt=0)

    vantage_rest_url: str = Field(default="https://api.propay.com", pattern=r"^https?://")
    vantage_xml_url: str = Field(default="https://xmlapi.propay.com/API/PropayAPI.aspx", pattern=r"^https?://")
    vantage_report_url: str = Field(default="https://reporting.vantagepay.io", pattern=r"^https?://")
    vantage_biller_account_id: str | None = None
    vantage_authentication_token: SecretStr | None = None
    vantage_cert_string: SecretStr | None = None
    vantage_report_key: SecretStr | None = None
    vantage_affiliate_id: str | None = None
    # An answer may take a minute; a shorter wait would manufacture unknowns.
    vantage_total_deadline_s: float = Field(default=75.0, gt=0)

    stripe_api_key: SecretStr | None = None
    stripe_api_base: str = Field(default="https://api.stripe.com", pattern=r"^https?://")
    stripe_total_deadline_s: float = Field(default=35.0, gt=0)


class ChargeSettings(WorkerSettings):
    """A charge worker serves the queue of one processor."""

    charge_processor: ProcessorName
