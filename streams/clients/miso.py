"""Miso's client: upload of interactions in all documented forms, and deletion."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import ValidationError

from streams.clients.client import NOTHING_CHANGED, Client
from streams.clients.errors import InvalidRequest, RequestRejected, encoded, problems_of
from streams.core.outcome import RequestOutcome, Verdict
from streams.delivery.batching import BatchCause, Batcher, MicroBatch
from streams.vendors.miso import VENDOR, api
from streams.vendors.miso.forget import deletion_request
from streams.vendors.miso.models import MisoRecord, UserDeletion, read_record
from streams.vendors.miso.settings import MisoSettings

Events = MisoRecord | Mapping[str, Any] | Sequence[MisoRecord | Mapping[str, Any]] | str | bytes
"""One record or a list of records, as objects or as JSON."""
_AGAIN = "It may be stored: uploading it again may store it twice."


class Miso(Client[MisoSettings]):
    """Miso's interactions API; a list is split by ``batch_records`` and ``batch_bytes``."""

    vendor = VENDOR

    async def upload(self, events: Events, *, dry_run: bool = False) -> int:
        """Upload interactions in order; return how many Miso accepted for processing.

        ``dry_run``: Miso checks them and stores nothing. All requests are sent, and an error names
        all refused records.

        Raises:
            InvalidRequest: records break the documented rules (by index); nothing was sent.
            RequestRejected: Miso refuses records (by index) and stored none of their request;
                ``stored``: how many records of earlier requests are stored.
            VendorError: another failure.
        """
        records = read_records(events)
        doing = "checking interactions" if dry_run else "uploading interactions"
        refused: dict[int, str] = {}
        last: RequestRejected | None = None
        done = 0
        for batch in self._batches(records):
            build = api.dry_run if dry_run else api.build_request
            classify = partial(api.classify, count=len(batch))
            request = build(batch.payloads, self.section)
            again = NOTHING_CHANGED if dry_run else _AGAIN
            if done and not dry_run:
                again = f"{done:,} records before are stored. {_AGAIN}"
            try:
                await self.ask(request, classify, doing, again=again, first=done)
            except RequestRejected as error:
                if not dry_run:
                    raise
                refused |= error.refused
                last = error
            done += len(batch)
        if last is not None:
            status = last.status
            verdict = Verdict(RequestOutcome.REJECTED, last.verdict.detail, status, refused=refused)
            raise self.error_of(doing, verdict)
        return done

    async def delete(self, user_ids: str | Iterable[str]) -> None:
        """Delete all interactions of these users; they cannot be recovered. May be repeated.

        Raises InvalidRequest or VendorError.
        """
        ids = [user_ids] if isinstance(user_ids, str) else user_ids
        try:
            deletion = UserDeletion.model_validate({"user_ids": ids})
        except ValidationError as error:
            raise InvalidRequest({0: problems_of(error)}) from None
        request = deletion_request(deletion.user_ids, self.section)
        again = "Deleting again does no harm."
        classify = partial(api.classify, count=0)
        await self.ask(request, classify, "deleting interactions", again=again)

    def _batches(self, records: Sequence[MisoRecord]) -> Iterator[MicroBatch[int]]:
        batcher: Batcher[int] = Batcher(
            self.section.batch_records, api.max_batch_bytes(self.section), 0
        )
        for index, record in enumerate(records):
            batcher.add(index, encoded(record, index), 0)
        while len(batcher):
            yield batcher.next_batch(BatchCause.AGE)


def read_records(events: Events) -> list[MisoRecord]:
    """Return the records of an object, a list, ``{"data": …}``, JSON of these, or JSON lines.

    Raises InvalidRequest with all problems, by index.
    """
    content: Any = events
    if isinstance(content, str | bytes):
        content = _decode(content)
    if isinstance(content, Mapping) and set(content) == {"data"}:
        content = content["data"]
    listed = [content] if isinstance(content, Mapping | MisoRecord) else content
    if not isinstance(listed, Sequence) or isinstance(listed, str | bytes):
        raise InvalidRequest({0: "it must be an object, or a list of objects"})
    records: list[MisoRecord] = []
    problems: dict[int, str] = {}
    for index, one in enumerate(listed):
        try:
            records.append(read_record(one))
        except ValidationError as error:
            problems[index] = problems_of(error)
    if problems:
        raise InvalidRequest(problems)
    return records


def _decode(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = f"it is not JSON: {error}"
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        if len(lines) > 1:
            return [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
        problem = f"{problem}, nor is each line"
    raise InvalidRequest({0: problem})
