"""What people type for a batch or a payment."""

from uuid import UUID


def uuid_of(text: str) -> UUID | None:
    """The id, if it is one."""
    try:
        return UUID(text)
    except ValueError:
        return None


def batch_number_of(text: str) -> int | None:
    """1048 for `BP-1048` in any case; None for any other text."""
    digits = text.upper().removeprefix("BP-")
    return int(digits) if digits != text.upper() and digits.isascii() and digits.isdigit() else None
