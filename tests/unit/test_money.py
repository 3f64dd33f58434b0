from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import money


@pytest.mark.parametrize(
    ("amount_minor", "currency", "locale", "text"),
    [
        (123450, "USD", "en_US", "$1,234.50"),
        (-19500, "USD", "en_US", "\N{MINUS SIGN}$195.00"),
        (500, "JPY", "en_US", "¥500"),
        (1234500, "KWD", "en_US", "KWD1,234.500"),
        (12345, "EUR", "de_DE", "123,45\N{NO-BREAK SPACE}€"),
        (12345, "ISK", "en_US", "ISK12,345"),
    ],
)
def test_an_amount_is_written_as_people_of_the_locale_read_it(
    amount_minor: int, currency: str, locale: str, text: str
) -> None:
    assert money.words(amount_minor, currency, locale=locale) == text


@given(
    st.integers(-(10**15), 10**15), st.sampled_from(["USD", "JPY", "KWD", "EUR"]), st.sampled_from(["en_US", "de_DE"])
)
def test_what_is_written_is_read_back_to_the_cent(amount_minor: int, currency: str, locale: str) -> None:
    assert money.parse(money.words(amount_minor, currency, locale=locale), currency, locale=locale) == amount_minor


@pytest.mark.parametrize("text", ["", "x", "NaN", "1e3", "1.234", "3,96", "Infinity", "1.2.3"])
def test_what_is_no_number_of_cents_is_refused(text: str) -> None:
    with pytest.raises(money.BadAmountError):
        money.parse(text, "USD")


def test_minor_units_are_exact() -> None:
    assert money.decimal(12345, "USD") == Decimal("123.45")
    assert money.decimal(12345, "JPY") == 12345
    assert (money.exponent("USD"), money.exponent("JPY"), money.exponent("KWD")) == (2, 0, 3)
    assert money.known("USD")
    assert not money.known("ZZZ")
