"""Who has shown the token: sessions for people, and patience with wrong tries. Pure but for chance.

A session's cookie is no token: it says until when it holds, signed with a key made of the token.
It holds for every worker that has the same token, and ends with it.
"""

import hmac
import secrets
from collections import OrderedDict

SESSION_SECONDS = 12 * 60 * 60

MAX_ENDED = 100_000
"""Sessions that somebody ended before their time and that are remembered one by one."""

TRIES = 5
"""Wrong tries from one address that are answered at once."""
SECONDS_A_TRY = 10.0
"""So long each of them counts."""
MAX_DELAY_SECONDS = 5.0
MAX_ADDRESSES = 1_000


class Sessions:
    """Makes and reads the values of session cookies."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._key = hmac.digest(self._token, b"streams web session", "sha256")
        self._ended: OrderedDict[str, int] = OrderedDict()
        """A session's name → until when it would have held, those that were ended first first."""
        self._ended_below = 0
        """Whatever would have held until this moment or less has ended."""
        # Ports share their host's cookies: two installations on one must not end each other's.
        self.cookie = f"streams_session_{hmac.digest(self._key, b'cookie', 'sha256').hex()[:8]}"
        """The cookie's name."""

    def is_token(self, given: str) -> bool:
        """Return whether this is the token, taking the same time whatever it is."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)

    def begin(self, now: float) -> str:
        """Return a new cookie's value; ``now`` in seconds since the epoch."""
        return self._signed(f"{int(now) + SESSION_SECONDS}.{secrets.token_urlsafe(12)}")

    def holds(self, value: str, now: float) -> bool:
        """Return whether a cookie was made with this token and has neither expired nor ended."""
        claim, _, _ = value.rpartition(".")
        until, _, name = claim.partition(".")
        # The signature first: nothing that is not ours is looked into.
        if not hmac.compare_digest(value.encode("utf-8", "replace"), self._signed(claim).encode()):
            return False
        return int(until) > max(now, self._ended_below) and name not in self._ended

    def end(self, value: str, now: float) -> None:
        """Let this session hold no longer, at this worker; its cookie is deleted besides.

        It stays ended: where too many are to be remembered, all that are as old as the oldest of
        them end, too. What is no session is not remembered.
        """
        if not self.holds(value, now):
            return
        until, name, _ = value.split(".")
        self._ended[name] = int(until)
        while self._ended:
            name, held_until = next(iter(self._ended.items()))
            if held_until > now and len(self._ended) <= MAX_ENDED:
                break
            del self._ended[name]
            self._ended_below = max(self._ended_below, held_until)

    def _signed(self, claim: str) -> str:
        signature = hmac.digest(self._key, claim.encode("utf-8", "replace"), "sha256").hex()
        return f"{claim}.{signature}"


class LoginThrottle:
    """How long a wrong try from an address has to wait for its answer; times are in seconds.

    The token itself never waits: behind a proxy everybody has one address, and nobody there may
    shut out the others. What keeps guesses from succeeding is the token's length; the wait keeps
    them few.
    """

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Address → (tries that count, as of when)."""

    def was_wrong(self, address: str, now: float) -> float:
        """Count a wrong try, and return how long its answer is to wait."""
        spent, as_of = self._wrong.get(address, (0.0, now))
        spent = max(0.0, spent - (now - as_of) / SECONDS_A_TRY) + 1
        self._wrong[address] = spent, now
        self._wrong.move_to_end(address)
        while len(self._wrong) > MAX_ADDRESSES:
            self._wrong.popitem(last=False)
        return min(MAX_DELAY_SECONDS, max(0.0, spent - TRIES))
