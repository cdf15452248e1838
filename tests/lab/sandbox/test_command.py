"""``streams sandbox`` as a process."""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest


def test_the_command_serves_until_it_is_stopped() -> None:
    """It says where it listens and how to point workers at it, and sums up at the end."""
    command = [sys.executable, "-u", "-m", "streams", "sandbox", "--port", "0"]
    with subprocess.Popen(
        [*command, "--fault", "miso:429,times=1"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert found is not None
            request = urllib.request.Request(
                f"{found[0]}/v1/interactions", data=b"{}", headers={"X-API-KEY": "k"}
            )
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(request, timeout=10)
            with caught.value as answer:
                assert (answer.status, json.load(answer)) == (
                    429,
                    {"message": "Too many requests."},
                )
            process.send_signal(signal.SIGTERM)
            rest = process.stdout.read()
        finally:
            process.terminate()
    assert process.returncode == 0
    assert f"STREAMS_MISO_BASE_URL={found[0]}\n" in rest
    assert "Miso: 0 records stored, 1 requests (429: 1)\n" in rest


def test_a_bad_fault_exits_2_with_a_sentence() -> None:
    """No traceback, no server."""
    ended = subprocess.run(
        [sys.executable, "-m", "streams", "sandbox", "--fault", "miso:slow"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("fault 'miso:slow': slow needs seconds")
    assert ended.stderr.count("\n") == 1
