"""When images were taken, as STAC tells it: an instant, or the first and the last of several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = ["Taken", "fields_of", "taken_in"]


@dataclass(frozen=True)
class Taken:
    """When an image was taken.

    Parameters
    ----------
    at : datetime or None
        The instant that stands for all of it; None where none is stated.
    first, last : datetime
        When it was begun and ended; the same instant where nothing else is stated.
    """

    at: datetime | None
    first: datetime
    last: datetime


def taken_in(properties: Any) -> Taken | None:
    """When the image of an item was taken; None where its properties do not say it, or wrongly."""
    stated = properties if isinstance(properties, Mapping) else {}
    at = _instant(stated.get("datetime"))
    first, last = (_instant(stated.get(f"{end}_datetime")) for end in ("start", "end"))
    if first is None or last is None or last < first:
        return None if at is None else Taken(at, at, at)
    return Taken(at, first, last)


def fields_of(images: Iterable[Taken | None]) -> dict[str, str | None]:
    """When an image was taken that is made of others, as the fields of an item.

    Empty where it is not known of all of them: a span that leaves some out would be wrong.
    """
    known = list(images)
    taken = [each for each in known if each is not None]
    if not taken or len(taken) < len(known):
        return {}
    instants = {each.at for each in taken}
    at = instants.pop() if len(instants) == 1 else None
    first, last = min(each.first for each in taken), max(each.last for each in taken)
    told = {"datetime": None if at is None else _text(at)}
    if at is None or first != last:
        told |= {"start_datetime": _text(first), "end_datetime": _text(last)}
    return told


def _instant(value: Any) -> datetime | None:
    """An instant in UTC, which it is in where no zone is stated."""
    try:
        read = datetime.fromisoformat(value)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
