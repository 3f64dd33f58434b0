"""Stripe's lists of payment intents: which rows they have, and which one tells how a charge stands."""

from datetime import UTC, datetime

from workers.processors.port import Found, LookupAnswer, LookupFailed, NotFound, Seen, Sighting
from workers.processors.stripe.answers import Json, is_object, sighting_of

# When several payment intents carry one reference, the one that moved money is the one to know of.
_TELLING: tuple[Seen, ...] = (Seen.SETTLED, Seen.REFUNDED, Seen.PROCESSING, Seen.OTHER, Seen.DECLINED)


def rows_of(page: object) -> tuple[list[Json], bool]:
    """The rows of a list and whether more follow. Raises for a page that is not a list: it proves nothing."""
    if not is_object(page) or not isinstance(rows := page.get("data"), list):
        raise TypeError("not a list of payment intents")
    more = page["has_more"] is not False
    if more and not rows:
        raise ValueError("an empty page that claims to have a next one")
    return [row for row in rows if is_object(row)], more


def looked(matches: list[Json], as_of: datetime | None) -> LookupAnswer:
    if not matches:
        if as_of is None:
            return LookupFailed(code="no_date", detail="Stripe's answer has no Date header")
        return NotFound(as_of=as_of.astimezone(UTC))
    sightings = sorted((sighting_of(match) for match in matches), key=lambda sighting: _TELLING.index(sighting.seen))
    return Found(sighting=_noted(sightings[0], matches) if len(matches) > 1 else sightings[0])


def _noted(sighting: Sighting, matches: list[Json]) -> Sighting:
    """Two payment intents under one reference mean a key that was forgotten and used again: say so."""
    ids = ", ".join(str(match["id"]) for match in matches)
    match = next(match for match in matches if match["id"] == sighting.processor_ref)
    return sighting_of(match, detail=f"{len(matches)} payment intents carry this reference: {ids}")
