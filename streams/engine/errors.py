"""The errors of the engine."""


class EngineError(Exception):
    """A guarantee can no longer be kept in this process; a new one continues from the commit."""


class BrokersUnavailableError(Exception):
    """The brokers cannot be used; the message says why and what to do.

    ``is_refused``: they respond, and refuse the login.
    """

    is_refused = False
