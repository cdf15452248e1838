"""Forgetting a visitor at 8SELECT: it documents no request for that."""

from collections.abc import Sequence

from streams.core.outcome import Verdict
from streams.core.records import VendorRecord
from streams.core.uuids import is_uuid
from streams.vendors.base import Erasure, Forgetting, HttpResponse, Trail
from streams.vendors.eightselect.api import classify
from streams.vendors.eightselect.mapping import keyed_uuid
from streams.vendors.eightselect.settings import EightSelectSettings


def subjects(record: VendorRecord) -> Sequence[str]:
    """Return the UUID under which the event was sent."""
    context = record.payload.get("context") if type(record.payload) is dict else None
    for entry in context if type(context) is list else ():
        user = entry.get("user") if type(entry) is dict else None
        id_ = user.get("id") if type(user) is dict else None
        if type(id_) is str:
            return (id_,)
    return ()


def plan(trail: Trail, settings: EightSelectSettings) -> Erasure:
    """Return no request, but whom to name when 8SELECT is asked."""
    ids = dict.fromkeys((*trail.subjects, *trail.eightselect_user_ids))
    if is_uuid(trail.visitor):
        ids[trail.visitor] = None
    elif settings.user_id_secret is not None:
        secret = settings.user_id_secret.get_secret_value().encode()
        ids[keyed_uuid(trail.visitor, secret)] = None
    named = (
        f"name the user id{'s' if len(ids) > 1 else ''} {', '.join(ids)}."
        if ids
        else "set STREAMS_EIGHTSELECT_USER_ID_SECRET to learn which user id to name."
    )
    return Erasure(by_hand=f"8SELECT documents no way to delete: ask it in writing, and {named}")


def judge(response: HttpResponse) -> Verdict:
    """Return the verdict on a response, of which there is none: no request is made."""
    return classify(response, 0)


FORGETTING = Forgetting(subjects, plan, judge)
