"""``streams diff`` over a file: two processes, no broker."""

import json
from pathlib import Path
from typing import Any

import pytest

from streams.cli import main

SETTINGS = """
[eightselect]
enabled = false
[voyado]
enabled = false
[miso]
api_key = "key"
"""
OWN_TOPIC = """
[ingest.views]
topic = "web"
to = "clicks"
{when}
[ingest.views.fields]
anonymous_id = "client"
timestamp = "at"
product_id = "product"
"page.url" = "{url}"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files are named without a path."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def diff(
    capsys: pytest.CaptureFixture[str], old: str, new: str, lines: list[Any], *more: str
) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, the array of ``--json``, and what stands on stderr."""
    Path("old.toml").write_text(old)
    Path("new.toml").write_text(new)
    Path("lines.jsonl").write_text("\n".join(
        one if isinstance(one, str) else json.dumps(one) for one in lines
    ))  # fmt: skip
    code = main(["diff", "old.toml", "new.toml", "lines.jsonl", "--json", *more])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else [], said.err


def click(number: int, **more: Any) -> dict[str, Any]:
    """A raw click of a visitor who said yes."""
    at = "2026-03-01T12:00:00Z"
    event = {"event_id": f"e{number}", "timestamp": at, "anonymous_id": "v", "product_id": "p1"}
    return event | {"consent": {"miso": True}} | more


PRODUCT = {"topic": "products", "key": "p1", "value": {"sku": "8S-1", "price": 5}}


def test_equal_settings_give_equal_payloads(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, and every payload counted."""
    lines = [PRODUCT, *(click(n) for n in range(2500))]
    code, (miso,), _ = diff(capsys, SETTINGS, SETTINGS + "# a comment\n", lines)
    assert code == 0
    assert (miso["vendor"], miso["same"]) == ("miso", 2500)
    assert (miso["added"], miso["gone"], miso["changed"], miso["fields"]) == (0, 0, 0, [])


def test_a_changed_mapping_is_counted_by_field(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; only the events that have the product's row are sent under both."""
    lines = [click(0), PRODUCT, *(click(n) for n in range(1, 1501)), click(1501, product_id="p2")]
    new = SETTINGS + 'product_id = "product_id"\n'
    code, (miso,), _ = diff(capsys, SETTINGS, new, lines)
    assert code == 1
    assert (miso["same"], miso["added"], miso["gone"], miso["changed"]) == (0, 2, 0, 1500)
    assert miso["added_because"] == {"skipped: unknown_product": 2}
    (field,) = miso["fields"]
    assert field["field"] == "product_ids[]"
    assert (field["added"], field["gone"], field["changed"]) == (0, 0, 1500)
    assert field["examples"][0] == {"event_id": "e1", "old": ["8S-1"], "new": ["p1"]}


def test_a_vendor_that_is_switched_off_gets_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """All its payloads are gone."""
    new = SETTINGS.replace("[miso]", "[miso]\nenabled = false")
    code, (miso,), said = diff(capsys, SETTINGS, new, [PRODUCT, click(1), click(2)])
    assert (code, miso["gone"], miso["gone_because"]) == (1, 2, {"vendor is off": 2})
    assert "Miso is off under the new settings." in said


def test_a_repeated_event_counts_once(capsys: pytest.CaptureFixture[str]) -> None:
    """As enrichment skips it; without the rule it is added."""
    new = SETTINGS + "[enrich]\nduplicate_minutes = 0\n"
    code, (miso,), _ = diff(capsys, SETTINGS, new, [PRODUCT, click(1), click(1)])
    assert (code, miso["same"], miso["added"]) == (1, 1, 1)
    assert miso["added_because"] == {"skipped: duplicate": 1}


def test_records_of_the_shop_go_through_each_files_own_map(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line that names no topic is a record of the only one that is read."""
    old = SETTINGS + OWN_TOPIC.format(url="here", when="when = \"kind == 'view'\"")
    new = SETTINGS + OWN_TOPIC.format(url="there", when="")

    def view(number: int, kind: str) -> dict[str, Any]:
        return {
            "kind": kind,
            "client": f"c{number}",
            "at": "2026-03-01T12:00:00Z",
            "product": "p1",
            "here": "https://shop.example/1",
            "there": "https://shop.example/2",
        }

    lines = [
        {"topic": "users", "key": f"c{n}", "value": {"consent": {"miso": True}}} for n in range(3)
    ]
    lines += [PRODUCT, view(0, "view"), {"topic": "web", "value": view(1, "view")}, view(2, "stay")]
    code, (miso,), _ = diff(capsys, old, new, lines)
    assert code == 1
    assert (miso["same"], miso["added"], miso["gone"], miso["changed"]) == (0, 1, 0, 2)
    assert [(one["field"], one["changed"]) for one in miso["fields"]] == [("context.page.url", 2)]
    assert miso["added_because"] == {"unmapped": 1}
    code, (miso,), _ = diff(capsys, old, old, lines)
    assert (code, miso["same"]) == (0, 2)


def test_a_source_that_is_off_under_one_of_the_settings_gives_nothing_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And a visitor is a new one after a tombstone, for the lines that follow."""
    line = {"product_id": "p1", "quantity": 1, "price": 19.9, "currency": "EUR"}
    order = {k: v for k, v in click(1).items() if k != "product_id"}
    order |= {"order_id": "o1", "lines": [line], "revenue": 19.9}
    forgotten = {"topic": "users", "key": "v", "value": None}
    lines = [PRODUCT, forgotten, {"topic": "orders", "value": order}, click(2)]
    old = SETTINGS + "[source.orders]\nenabled = true\n"
    code, (miso,), _ = diff(capsys, old, SETTINGS, lines)
    assert (code, miso["same"], miso["gone"]) == (1, 1, 1)
    assert miso["gone_because"] == {"source is off": 1}


def test_lines_that_cannot_be_read_are_left_out_and_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are part of neither."""
    code, _, said = diff(capsys, SETTINGS, SETTINGS, [PRODUCT, "{", click(1), '{"topic": "x"}'])
    assert code == 0
    assert "2 lines were left out; the first is line 2: it is not JSON" in said


def test_wrong_settings_are_named_by_their_file(capsys: pytest.CaptureFixture[str]) -> None:
    """All of both at once, exit code 2."""
    code, _, said = diff(capsys, SETTINGS + "[kafkaa]\n", "[miso]\napi_kee = 1\n", [])
    assert code == 2
    assert "old.toml: [kafkaa] in old.toml: is no section" in said
    assert "new.toml: STREAMS_MISO_API_KEE" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.toml", "new.toml"], "missing.toml: STREAMS_CONFIG: there is no file"),
        (["old.toml", "new.toml", "missing.jsonl"], "there is no file missing.jsonl"),
        (["old.toml", "new.toml", "old.toml", "--since", "2h ago"], "exclude each other"),
        (["old.toml", "new.toml", "--since", "someday"], "--since:"),
    ],
)
def test_wrong_use_is_said(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    """Exit code 2."""
    Path("old.toml").write_text(SETTINGS)
    Path("new.toml").write_text(SETTINGS)
    assert main(["diff", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_the_table_names_vendor_field_and_example(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json."""
    Path("old.toml").write_text(SETTINGS)
    Path("new.toml").write_text(SETTINGS + 'product_id = "product_id"\n')
    Path("lines.jsonl").write_text("\n".join(json.dumps(one) for one in (PRODUCT, click(1))))
    assert main(["diff", "old.toml", "new.toml", "--since", "lines.jsonl"]) == 1
    said = capsys.readouterr().out
    assert "Compared over 1 record." in said
    assert "product_ids[]" in said
    assert '["8S-1"] → ["p1"]' in said


def test_visitors_of_orders_are_found_as_ingest_finds_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the lines before them; of how many none is known is said."""
    settings = (
        SETTINGS
        + """
[source.orders]
enabled = true
[ingest.erp]
topic = "erp"
to = "orders"
visitor_from = ["order_id", "user_id"]
[ingest.purchases]
topic = "web"
to = "visitors"
"""
    )
    yes = {"consent": {"miso": True}}
    order = {"timestamp": "2026-03-01T12:00:00Z", "lines": [{"product_id": "p1", "quantity": 1}]}
    purchase = {"anonymous_id": "v", "order_id": "1", "timestamp": "2026-03-01T12:00:00Z"}
    orders = [order | yes | who for who in ({"order_id": "1"}, {"order_id": "2", "user_id": "7"})]
    lines = [
        PRODUCT,
        {"topic": "users", "key": "w", "value": {"user_id": "7"} | yes},
        {"topic": "web", "value": purchase},
        *({"topic": "erp", "value": one} for one in orders),
        {"topic": "erp", "value": order | {"order_id": "3"}},
    ]
    new = settings.replace('["order_id", "user_id"]', '["order_id"]')
    code, (miso,), _ = diff(capsys, settings, new, lines)
    assert (code, miso["same"], miso["gone"]) == (1, 1, 1)
    assert miso["gone_because"] == {"dead letter: unknown_visitor (anonymous_id)": 1}
    assert main(["diff", "old.toml", "new.toml", "lines.jsonl"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "Under the old settings no visitor is known of 1 event, which" in said
    assert "Under the new settings no visitor is known of 2 events, which" in said
