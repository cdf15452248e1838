"""The errors of the engine."""


class EngineError(Exception):
    """A guarantee can no longer be kept in this process; a fresh one goes on from the commit."""


class BrokersUnavailableError(Exception):
    """The brokers cannot be asked; the message says why and what to do.

    What an app hands to the engine raises it. ``is_refused``: they answer, and do not let us in.
    """

    is_refused = False
