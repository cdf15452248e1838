"""Who has shown the token: sessions for people, and patience with wrong tries. Pure but for chance.

A session's cookie is no token: it says until when it holds, signed with a key made of the token.
It holds for every worker that has the same token, and ends with it.
"""

import hmac
import secrets
from collections import OrderedDict

SESSION_SECONDS = 12 * 60 * 60

TRIES = 5
"""Wrong tries from one address before it has to wait."""
SECONDS_A_TRY = 10.0
"""After these it gets one more try in so many seconds."""
MAX_ADDRESSES = 1_000


class Sessions:
    """Makes and reads the values of session cookies."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._key = hmac.digest(self._token, b"streams web session", "sha256")
        self._ended: OrderedDict[str, None] = OrderedDict()
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
        until, _, _ = claim.partition(".")
        # The signature first: nothing that is not ours is looked into.
        if not hmac.compare_digest(value.encode("utf-8", "replace"), self._signed(claim).encode()):
            return False
        return int(until) > now and value not in self._ended

    def end(self, value: str) -> None:
        """Let this session hold no longer, at this worker; its cookie is deleted besides."""
        self._ended[value] = None
        while len(self._ended) > MAX_ADDRESSES:
            self._ended.popitem(last=False)

    def _signed(self, claim: str) -> str:
        signature = hmac.digest(self._key, claim.encode("utf-8", "replace"), "sha256").hex()
        return f"{claim}.{signature}"


class Patience:
    """How often an address may still try; time comes in, in seconds."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Address → (tries spent, as of when)."""

    def wait_seconds(self, address: str, now: float) -> float:
        """Return how long this address has to wait before its next try; 0: it may."""
        over = self._spent(address, now) - (TRIES - 1)
        return over * SECONDS_A_TRY if over > 0 else 0.0

    def was_wrong(self, address: str, now: float) -> None:
        """Count a wrong try."""
        self._wrong[address] = (self._spent(address, now) + 1, now)
        self._wrong.move_to_end(address)
        while len(self._wrong) > MAX_ADDRESSES:
            self._wrong.popitem(last=False)

    def _spent(self, address: str, now: float) -> float:
        spent, as_of = self._wrong.get(address, (0.0, now))
        return max(0.0, spent - (now - as_of) / SECONDS_A_TRY)
