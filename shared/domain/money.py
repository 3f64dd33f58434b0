"""Money: integer minor units and an ISO 4217 currency, never a float; Babel writes it for people."""

from decimal import Decimal
from functools import cache
from typing import Final

from babel.core import Locale
from babel.numbers import NumberFormatError, format_currency, get_currency_symbol, is_currency, parse_decimal

# ISO 4217, table A.1: the currencies whose minor unit is not a hundredth. Babel's figures are for display and differ.
_EXPONENTS: Final = {
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
_MINUS: Final = "\N{MINUS SIGN}"


class BadAmountError(ValueError):
    """This text is not an amount in this currency."""


@cache
def known(currency: str) -> bool:
    """Whether `currency` is a code that ISO 4217 knows."""
    return is_currency(currency)


def exponent(currency: str) -> int:
    """How many decimals the currency's minor unit has: 2 for USD, 0 for JPY."""
    return _EXPONENTS.get(currency, 2)


def decimal(amount_minor: int, currency: str) -> Decimal:
    """The amount in major units, exactly: 12345 USD is Decimal("123.45")."""
    return Decimal(amount_minor).scaleb(-exponent(currency))


def words(amount_minor: int, currency: str, *, locale: str = "en_US") -> str:
    """The amount as people of that locale read it: `$1,234.50`, and a true minus sign before what is negative."""
    text: str = format_currency(
        decimal(amount_minor, currency),
        currency,
        locale=locale,
        currency_digits=False,
        format=_pattern(currency, locale),
    )
    return text.replace("-", _MINUS)


def parse(text: str, currency: str, *, locale: str = "en_US") -> int:
    """Minor units of an amount that a person typed, with or without the currency's sign and grouping.

    Raises BadAmountError for anything that is not exactly a number of minor units (a third decimal of a dollar too).
    """
    bare = text.strip().replace(get_currency_symbol(currency, locale), "").replace(currency, "").replace(_MINUS, "-")
    if any(letter.isalpha() for letter in bare):  # 1e9 and NaN are numbers to a machine only
        raise BadAmountError(f"{text!r} is not an amount")
    try:
        major = parse_decimal(bare.strip(), locale=locale, strict=True)
    except NumberFormatError:
        raise BadAmountError(f"{text!r} is not an amount") from None
    minor = major.scaleb(exponent(currency))
    if minor != minor.to_integral_value():
        raise BadAmountError(f"{text!r} has more decimals than {currency}")
    return int(minor)


@cache
def _pattern(currency: str, locale: str) -> str:
    """The locale's currency pattern with the decimals of ISO 4217 in place of the display's."""
    pattern: str = Locale.parse(locale).currency_formats["standard"].pattern
    decimals = exponent(currency)
    return pattern.replace(".00", "." + "0" * decimals if decimals else "")
