"""Logging: what is written, in which form, and what never is."""

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest

from streams.telemetry import LogRateLimit, hide, setup_logging


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Every test leaves the process's logging as it found it."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def written(out: io.StringIO) -> list[dict[str, object]]:
    """The lines that were logged as JSON."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_one_json_object_where_nobody_watches() -> None:
    """Machines read event, level, logger and time."""
    out = io.StringIO()
    setup_logging(stream=out)
    logging.getLogger("streams.delivery").warning("%s is parked", "miso")
    (line,) = written(out)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "miso is parked",
        "level": "warning",
        "logger": "streams.delivery",
    }


def test_a_terminal_gets_words_and_no_control_characters() -> None:
    """A planted escape sequence is shown, not obeyed."""
    out = Terminal()
    setup_logging(stream=out)
    logging.getLogger("streams").info("event seen: %s", "\x1b]0;owned\x07")
    text = out.getvalue()
    assert "event seen" in text
    assert "\\x1b]0;owned\\x07" in text
    assert "\x1b]0;" not in text


def test_the_standard_library_takes_the_same_way_out() -> None:
    """What Faust says looks like what this project says, arguments filled in."""
    out = io.StringIO()
    setup_logging(stream=out)
    logging.getLogger("faust.assignor").error("partition %s lost", 3)
    (line,) = written(out)
    assert line["event"] == "partition 3 lost"
    assert line["logger"] == "faust.assignor"
    assert line["level"] == "error"


@pytest.mark.parametrize(
    "name", ["httpx", "httpcore.connection", "aiokafka.client", "faust", "mode"]
)
def test_packages_say_nothing_below_a_warning(name: str) -> None:
    """Request lines hold addresses, start-up lines hold no change of state."""
    out = io.StringIO()
    setup_logging(stream=out)
    logging.getLogger(name).info("HTTP Request: GET https://api.example.com/?email=ann@example.com")
    assert out.getvalue() == ""


def test_at_debug_level_the_kafka_clients_say_what_they_do_and_nobody_else() -> None:
    """Who joins a group and what is assigned; not their requests, nor those to vendors."""
    out = io.StringIO()
    setup_logging(stream=out, level="DEBUG")
    for name in ("aiokafka.consumer.group_coordinator", "mode.services", "httpx", "urllib3"):
        logging.getLogger(name).info("said by %s", name)
        logging.getLogger(name).debug("whispered by %s", name)
    assert [line["event"] for line in written(out)] == [
        "said by aiokafka.consumer.group_coordinator",
        "said by mode.services",
    ]


def test_a_secret_is_never_written_even_inside_an_exception() -> None:
    """Keys are replaced wherever they turn up, in JSON's spelling too."""
    out = io.StringIO()
    setup_logging(stream=out, secrets=["k-123456", 'with"quote'])
    hide(["later-secret"])
    try:
        float('sent k-123456 and with"quote')
    except ValueError:
        logging.getLogger("streams").exception("failed with later-secret")
    assert "sent *** and ***" in out.getvalue()
    assert written(out)[0]["event"] == "failed with ***"


def test_a_repeating_package_is_held_back_and_counted() -> None:
    """One line in ten seconds per message; the next one says how many there were."""
    now = 0.0
    limit = LogRateLimit(lambda: now)

    def record(name: str = "aiokafka.client") -> logging.LogRecord:
        return logging.LogRecord(name, logging.ERROR, "", 0, "Unable connect to %s", ("b1",), None)

    assert limit.filter(record())
    assert not limit.filter(record())
    assert not limit.filter(record())
    assert limit.filter(record("aiokafka.consumer.fetcher"))
    now = 10.0
    last = record()
    assert limit.filter(last)
    assert last.__dict__["held_back"] == 2


def test_our_own_lines_are_not_held_back() -> None:
    """Rate limits on our own lines are the business of who writes them."""
    limit = LogRateLimit(lambda: 0.0)
    record = logging.LogRecord("streams.engine", logging.ERROR, "", 0, "same", (), None)
    assert limit.filter(record)
    assert limit.filter(record)


def test_warnings_of_python_are_logged() -> None:
    """Nothing reaches the output around the logging."""
    out = io.StringIO()
    setup_logging(stream=out)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(capture=True)
        warnings.warn("old thing", UserWarning, stacklevel=1)
    assert "old thing" in out.getvalue()
