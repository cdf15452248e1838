"""The errors that a client raises, and what the caller can do.

StreamsError
├── InvalidRequest             correct it: it breaks the vendor's rules and was not sent
└── SetupError
    └── VendorError            the request failed
        ├── RequestRejected    correct it: the vendor refuses it
        ├── RequestThrottled   try again later, and send fewer requests
        ├── VendorUnavailable  try again later; nothing was changed
        ├── VendorMisconfigured  correct key, address or rights
        └── RequestUnclear     check whether it was done before you send it again
"""

from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from streams.core.errors import SetupError, StreamsError
from streams.core.outcome import RequestOutcome, Verdict
from streams.vendors.base import RequestModel

_MAX_SHOWN = 5
_MISSING = "Field required"


class InvalidRequest(StreamsError):
    """A request that breaks the vendor's documented rules; nothing was sent."""

    def __init__(self, problems: Mapping[int, str], what: str = "record") -> None:
        self.problems = dict(problems)
        """What is wrong, by index of the record (from 0) or by line."""
        super().__init__(shown_by_index(self.problems, what))


class VendorError(SetupError):
    """The request failed; the message says why and what to do."""

    def __init__(self, message: str, verdict: Verdict) -> None:
        super().__init__(message)
        self.verdict = verdict
        self.status = verdict.status
        """None: no response came."""
        self.retry_after_seconds = verdict.retry_after_seconds or 0.0
        self.may_succeed_later = verdict.outcome in _MAY_SUCCEED
        """Whether waiting may help, or the request was perhaps done without a response."""


class RequestRejected(VendorError):
    """The vendor refuses the request and stored nothing of it."""

    def __init__(self, message: str, verdict: Verdict, first: int = 0) -> None:
        super().__init__(message, verdict)
        self.refused = {first + index: words for index, words in verdict.refused.items()}
        """The vendor's words, by index of the record (from 0). Empty: it names no record."""
        self.stored = first
        """How many records were stored by earlier requests of the same call."""


class RequestThrottled(VendorError):
    """The vendor asks for fewer requests; ``retry_after_seconds`` is 0 if it names no wait."""


class VendorUnavailable(VendorError):
    """The vendor cannot be reached or fails; nothing was changed."""


class VendorMisconfigured(VendorError):
    """Key, address or rights are wrong."""


class RequestUnclear(VendorError):
    """No response, or none that can be understood: the request may have been done."""


ERRORS: Mapping[RequestOutcome, type[VendorError]] = {
    RequestOutcome.REJECTED: RequestRejected,
    RequestOutcome.THROTTLED: RequestThrottled,
    RequestOutcome.UNAVAILABLE: VendorUnavailable,
    RequestOutcome.MISCONFIGURED: VendorMisconfigured,
    RequestOutcome.UNCLEAR: RequestUnclear,
}
_MAY_SUCCEED = (RequestOutcome.THROTTLED, RequestOutcome.UNAVAILABLE, RequestOutcome.UNCLEAR)


def encoded(model: RequestModel, index: int = 0) -> bytes:
    """Return the body; raises InvalidRequest if a text is not valid Unicode."""
    try:
        return model.encode()
    except PydanticSerializationError:
        words = "a text holds half a surrogate pair, which is no Unicode"
        raise InvalidRequest({index: words}) from None


def problems_of(error: ValidationError) -> str:
    """Return the problems that a model found, on one line and without the values."""
    found = []
    problems = error.errors(include_url=False, include_input=False)
    for problem in problems:
        place = ".".join(map(str, problem["loc"]))
        # Of a list that has only elements out of shape pydantic says that it has none.
        if problem["type"] == "too_short" and any(
            one["loc"][:-1][: len(problem["loc"])] == problem["loc"] for one in problems
        ):
            continue
        words = problem["msg"].removeprefix("Value error, ").partition(", ctx=")[0]
        if problem["type"] in ("union_tag_not_found", "union_tag_invalid"):
            place = ".".join(filter(None, [place, problem["ctx"]["discriminator"].strip("'")]))
            known = problem["ctx"].get("expected_tags")
            words = f"there is no {problem['ctx']['tag']}; there are {known}" if known else _MISSING
        found.append(f"{place}: {words}" if place else words)
    return "; ".join(dict.fromkeys(found))


def shown_by_index(problems: Mapping[int, str], what: str = "record") -> str:
    """Return the first few problems as one sentence; ``what`` is empty where there is one thing."""
    first = list(problems.items())[:_MAX_SHOWN]
    shown = [f"{what} {index}: {words}" if what else words for index, words in first]
    more = len(problems) - len(shown)
    return "; ".join(shown) + (f"; and {more:,} more" if more else "")
