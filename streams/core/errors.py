"""The exceptions of this project, by who must act next.

StreamsError
├── InvalidEvent       the record can never become an event: dead letter
├── SettingsError      the person who configured it: exit 2, lists every problem
└── SetupError         the person who runs it (topics, broker, ports): one sentence with the remedy

What one vendor request says about its events is a value, not an exception: see ``core.outcome``.
"""

from collections.abc import Sequence


class StreamsError(Exception):
    """The base of all errors that this project raises on purpose."""


class InvalidEvent(StreamsError):
    """A record that cannot become an event; ``reason`` and ``field`` go into its dead letter."""

    def __init__(self, reason: str, detail: str, field: str | None = None, cause: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        """A word of the closed list ``core.outcome.DeadLetterReason``."""
        self.detail = detail
        """One sentence for the person who reads the dead letter."""
        self.field = field
        """The field that is out of shape, where there is one."""
        self.cause = cause
        """What tells this from other faults of the same field; a part of the fingerprint."""


class SettingsError(StreamsError):
    """Settings that cannot work; ``problems`` holds one line each, by variable name."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class SetupError(StreamsError):
    """Something outside this process is not as it must be; the message names the remedy."""

    exit_code = 1
