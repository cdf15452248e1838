"""JSON that anybody may have written, as a type of ours."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

T = TypeVar("T")


def json_decoder(kind: type[T]) -> Callable[[bytes | str], T]:
    """Return a function that decodes JSON as this type.

    It raises ``msgspec.DecodeError``, a ValueError, for whatever is wrong: msgspec's own decoder
    raises RecursionError for what is nested too deeply, also in a field that the type lacks.
    """
    decode = msgspec.json.Decoder(kind).decode

    def decoded(data: bytes | str) -> T:
        try:
            return decode(data)
        except UnicodeDecodeError as error:
            raise msgspec.DecodeError(f"it is not UTF-8: {error.reason}") from error
        except RecursionError as error:
            raise msgspec.DecodeError("it is nested too deeply") from error

    return decoded
