"""The processors that this release knows, made from settings. Adding one is a line here."""

from dataclasses import replace
from datetime import timedelta

from pydantic import SecretStr

from shared.domain.words import ProcessorName
from shared.settings import WorkerSettings
from workers.processors.port import Processor
from workers.processors.stripe.adapter import TIMING as STRIPE_TIMING
from workers.processors.stripe.adapter import StripeProcessor, StripeSettings
from workers.processors.vantage.adapter import TIMING as VANTAGE_TIMING
from workers.processors.vantage.adapter import VantageProcessor, VantageSettings


class SettingMissingError(Exception):
    """A processor is configured in part: without its credentials nothing can be charged or looked up."""


def vantage(settings: WorkerSettings) -> Processor:
    """Raises SettingMissingError naming the variable."""
    return VantageProcessor(
        VantageSettings(
            rest_url=settings.vantage_rest_url,
            xml_url=settings.vantage_xml_url,
            report_url=settings.vantage_report_url,
            biller_account_id=_needed("vantage_biller_account_id", settings.vantage_biller_account_id),
            authentication_token=_secret("vantage_authentication_token", settings.vantage_authentication_token),
            cert_string=_secret("vantage_cert_string", settings.vantage_cert_string),
            report_key=_secret("vantage_report_key", settings.vantage_report_key),
            affiliate_id=_needed("vantage_affiliate_id", settings.vantage_affiliate_id),
            connections=settings.in_flight,
            timing=replace(VANTAGE_TIMING, total_deadline=timedelta(seconds=settings.vantage_total_deadline_s)),
        )
    )


def stripe(settings: WorkerSettings) -> Processor:
    """Raises SettingMissingError naming the variable."""
    return StripeProcessor(
        StripeSettings(
            api_key=_secret("stripe_api_key", settings.stripe_api_key),
            api_base=settings.stripe_api_base,
            in_flight=settings.in_flight,
            timing=replace(STRIPE_TIMING, total_deadline=timedelta(seconds=settings.stripe_total_deadline_s)),
        )
    )


MAKERS = {ProcessorName.VANTAGE: vantage, ProcessorName.STRIPE: stripe}


def every_processor(settings: WorkerSettings) -> dict[ProcessorName, Processor]:
    """All processors, for workers that serve payments of any of them."""
    return {name: make(settings) for name, make in MAKERS.items()}


def _needed(name: str, value: str | None) -> str:
    if not value:
        raise SettingMissingError(
            f"BATCHPAY_{name.upper()} is not set: set it to the value that the processor gave you"
        )
    return value


def _secret(name: str, value: SecretStr | None) -> str:
    return _needed(name, value.get_secret_value() if value else None)
