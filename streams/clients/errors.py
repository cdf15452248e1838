"""What a client raises, by who must act next.

StreamsError
├── InvalidRequest             the caller: it breaks the vendor's rules and was not sent
└── SetupError
    └── VendorError            the vendor did not do what it was asked
        ├── RequestRejected    the caller: the vendor refuses it
        ├── RequestThrottled   nobody: less often, later
        ├── VendorUnavailable  nobody: later; nothing was changed
        ├── VendorMisconfigured  the person who set key and address
        └── RequestUnclear     the caller: it may have been done; look before it is sent again
"""

from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from streams.core.errors import SetupError, StreamsError
from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import RequestModel

_MAX_SHOWN = 5


class InvalidRequest(StreamsError):
    """A request that breaks the vendor's documented rules; nothing was sent."""

    def __init__(self, problems: Mapping[int, str], what: str = "record") -> None:
        self.problems = dict(problems)
        """By index of the record, from 0, or by line: what is wrong with it."""
        super().__init__(shown_by_index(self.problems, what))


class VendorError(SetupError):
    """The vendor did not do what it was asked; the message says why and what to do."""

    def __init__(self, message: str, verdict: Verdict) -> None:
        super().__init__(message)
        self.verdict = verdict
        self.status = verdict.status
        """None: no response came."""
        self.retry_after_seconds = verdict.retry_after_seconds or 0.0
        self.may_succeed_later = verdict.outcome in _MAY_SUCCEED
        """A wait may help, or it was done although no answer says so."""


class RequestRejected(VendorError):
    """The vendor refuses what was asked; nothing of this request was stored."""

    def __init__(self, message: str, verdict: Verdict, first: int = 0) -> None:
        super().__init__(message, verdict)
        self.refused = {first + index: words for index, words in verdict.refused.items()}
        """By index of the record, from 0: the vendor's words. Empty: it names none."""
        self.stored = first
        """So many records, the first ones, were stored by earlier requests of the same call."""


class RequestThrottled(VendorError):
    """The vendor asks for fewer requests; ``retry_after_seconds`` is 0 where it names no wait."""


class VendorUnavailable(VendorError):
    """The vendor cannot be reached or fails; nothing was changed."""


class VendorMisconfigured(VendorError):
    """Key, address or rights are wrong."""


class RequestUnclear(VendorError):
    """No answer that can be understood: it may have been done."""


ERRORS: Mapping[RequestOutcome, type[VendorError]] = {
    RequestOutcome.REJECTED: RequestRejected,
    RequestOutcome.THROTTLED: RequestThrottled,
    RequestOutcome.UNAVAILABLE: VendorUnavailable,
    RequestOutcome.MISCONFIGURED: VendorMisconfigured,
    RequestOutcome.UNCLEAR: RequestUnclear,
}
_MAY_SUCCEED = (RequestOutcome.THROTTLED, RequestOutcome.UNAVAILABLE, RequestOutcome.UNCLEAR)


def encoded(model: RequestModel, index: int = 0) -> bytes:
    """Return the body; raises InvalidRequest where a text is no Unicode."""
    try:
        return model.encode()
    except PydanticSerializationError:
        words = "a text holds half a surrogate pair, which is no Unicode"
        raise InvalidRequest({index: words}) from None


def problems_of(error: ValidationError) -> str:
    """Return what a model found wrong, on one line and without the values."""
    found = []
    for problem in error.errors(include_url=False, include_input=False):
        place = ".".join(map(str, problem["loc"]))
        words = problem["msg"].removeprefix("Value error, ").partition(", ctx=")[0]
        found.append(f"{place}: {words}" if place else words)
    return "; ".join(dict.fromkeys(found))


def shown_by_index(problems: Mapping[int, str], what: str = "record") -> str:
    """Return the first few problems as one sentence."""
    shown = [f"{what} {index}: {words}" for index, words in list(problems.items())[:_MAX_SHOWN]]
    more = len(problems) - len(shown)
    return "; ".join(shown) + (f"; and {more:,} more" if more else "")
