"""Forgetting a visitor at Miso: what its Interaction Delete API takes, by user id."""

from collections.abc import Sequence

import msgspec

from streams.core.outcome import Verdict
from streams.core.records import VendorRecord
from streams.core.values import SUSPICIOUS_IDS
from streams.vendors.base import Erasure, Forgetting, HttpRequest, HttpResponse, Trail
from streams.vendors.miso.api import PATH, classify, headers
from streams.vendors.miso.settings import MisoSettings


def subjects(record: VendorRecord) -> Sequence[str]:
    """Return the user id under which the event was sent, if it had one."""
    user_id = record.payload.get("user_id") if type(record.payload) is dict else None
    return (user_id,) if type(user_id) is str and user_id else ()


def plan(trail: Trail, settings: MisoSettings) -> Erasure:
    """Return one request for the visitor and the users it was seen as.

    Miso documents user ids alone; the visitor's own id is sent with them in case it takes that.
    """
    users = tuple(dict.fromkeys((*trail.user_ids, *trail.subjects)))
    if trail.visitor in SUSPICIOUS_IDS:
        return _without_visitor(trail.visitor, users, settings)
    return _deletion((*users, trail.visitor), users, settings)


def _without_visitor(visitor: str, users: Sequence[str], settings: MisoSettings) -> Erasure:
    if not users:
        return Erasure(
            by_hand=f'"{visitor}" is not the id of one person, so Miso was not asked to delete its '
            "data. Ask Miso in writing."
        )
    return _deletion(users, users, settings)


def _deletion(ids: Sequence[str], users: Sequence[str], settings: MisoSettings) -> Erasure:
    named = f" and of the user{'s' if len(users) > 1 else ''} {', '.join(users)}" if users else ""
    return Erasure(
        (deletion_request(ids, settings),),
        f"all interactions of the visitor{named}",
        "Miso documents deletion by user id only: ask Miso in writing about interactions without a "
        "user id, and about interactions that it was still processing.",
    )


def deletion_request(user_ids: Sequence[str], settings: MisoSettings) -> HttpRequest:
    """Return the request that deletes all interactions of these users."""
    body = msgspec.json.encode({"user_ids": user_ids})
    return HttpRequest("DELETE", PATH, headers(settings), body)


def judge(response: HttpResponse) -> Verdict:
    """Return the verdict on the deletion."""
    return classify(response, 0)


FORGETTING = Forgetting(subjects, plan, judge)
