"""Settings: where they come from, which wins, and that all problems are told at once."""

import re
import tomllib
from pathlib import Path

import httpx
import pytest
import trustme

from streams.core.errors import SettingsError
from streams.core.ingest.targets import TARGETS
from streams.core.topics import Topics
from streams.kafka.topics import read_topics
from streams.settings import EventSettings, IngestSettings, load_settings, section_models, variable
from streams.vendors import VENDORS

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No streams.toml lies around."""
    monkeypatch.chdir(tmp_path)


def problems(**environ: str) -> list[str]:
    """What loading this environment complains about."""
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    return list(caught.value.problems)


def test_defaults_are_those_of_the_contract() -> None:
    """Nothing given: a local broker, consent required, no vendor on."""
    settings = load_settings({})
    assert settings.kafka.servers == ["127.0.0.1:9092"]
    assert settings.kafka.partitions == 6
    assert settings.kafka.replication_factor is None
    assert settings.kafka.client_options() == {
        "bootstrap_servers": ["127.0.0.1:9092"],
        "security_protocol": "PLAINTEXT",
    }
    assert settings.consent.mode == "required"
    assert settings.enrich.duplicate_minutes == 10
    assert settings.enrich.chunk_records == 500
    assert settings.sources["clicks"].field_map() is None
    assert (settings.web.host, settings.web.port, settings.web.token) == ("127.0.0.1", 6066, None)
    assert settings.state.dir == Path("state")
    assert settings.enabled_vendors() == ()
    assert set(settings.vendors) == set(VENDORS)


def test_the_environment_wins_over_the_file() -> None:
    """./streams.toml is read unasked; a variable replaces what stands there."""
    Path("streams.toml").write_text(
        '[kafka]\npartitions = 12\ntopic_prefix = "a."\n[miso]\napi_key = "from-file"\n'
    )
    settings = load_settings({"STREAMS_KAFKA_TOPIC_PREFIX": "b."})
    assert settings.kafka.partitions == 12
    assert settings.topics.clicks == "b.shop.clicks"
    assert settings.enabled_vendors() == ("miso",)
    assert settings.stages() == ("enrich", "miso")
    assert settings.secrets() == ("from-file",)


def test_an_empty_variable_is_unset() -> None:
    """Compose files pass empty variables for what nobody gave."""
    settings = load_settings({"STREAMS_KAFKA_PARTITIONS": "", "STREAMS_MISO_API_KEY": ""})
    assert settings.kafka.partitions == 6
    assert settings.enabled_vendors() == ()


def test_a_named_file_must_exist() -> None:
    """A typing error in STREAMS_CONFIG must not mean defaults."""
    assert problems(STREAMS_CONFIG="gone.toml") == ["STREAMS_CONFIG: there is no file gone.toml."]


def test_a_file_that_is_no_toml_is_named() -> None:
    """The place of the mistake is told."""
    Path("streams.toml").write_text("[kafka\n")
    (problem,) = problems()
    assert problem.startswith("STREAMS_CONFIG: streams.toml is not valid TOML: ")
    assert "line 1" in problem


def test_all_problems_come_at_once_by_variable_name() -> None:
    """One round is enough to put everything right."""
    Path("streams.toml").write_text(
        '[kafka]\npartitions = 0\npartition = 3\n[kafak]\nx = 1\n[miso]\nbatch_records = "many"\n'
    )
    assert problems(
        STREAMS_CONSENT_MODE="maybe", STREAMS_MISO_APIKEY="k", STREAMS_WEB_HOST="0.0.0.0"
    ) == [
        "[kafak] in streams.toml: is no section of the settings; did you mean kafka?",
        "STREAMS_MISO_APIKEY: is no setting; did you mean STREAMS_MISO_API_KEY?",
        (
            "STREAMS_KAFKA_PARTITIONS ([kafka] partitions in streams.toml): must be at least 1, "
            'not "0".'
        ),
        (
            "STREAMS_KAFKA_PARTITION ([kafka] partition in streams.toml): is no setting; "
            "did you mean partitions?"
        ),
        'STREAMS_CONSENT_MODE: must be one of required or assumed, not "maybe".',
        (
            "STREAMS_MISO_BATCH_RECORDS ([miso] batch_records in streams.toml): "
            'must be a whole number, not "many".'
        ),
        "STREAMS_WEB_TOKEN: is missing; host 0.0.0.0 can be reached from other machines.",
    ]


def test_what_kubernetes_sets_by_itself_is_recognised() -> None:
    """Service links of a service called streams look like settings."""
    (problem,) = problems(STREAMS_SERVICE_HOST="10.0.0.1")
    assert problem == (
        "STREAMS_SERVICE_HOST: is no setting; if Kubernetes set it, set enableServiceLinks: false "
        "in the pod."
    )


def test_a_secret_may_be_a_file(tmp_path: Path) -> None:
    """One line end is cut; the file is remembered and read again on request."""
    secret = tmp_path / "key"
    secret.write_text("k-1\n")
    settings = load_settings({"STREAMS_MISO_API_KEY_FILE": str(secret)})
    assert settings.secrets() == ("k-1",)
    assert settings.secret_files == {"miso.api_key": secret}
    secret.write_text("k-2\n")
    assert "k-2" not in repr(settings.with_current_secrets("miso"))
    renewed = settings.with_current_secrets("miso").model_dump()["api_key"]
    assert renewed.get_secret_value() == "k-2"
    secret.unlink()
    with pytest.raises(SettingsError, match="STREAMS_MISO_API_KEY_FILE: cannot read"):
        settings.with_current_secrets("miso")


def test_a_setting_and_its_file_together_are_an_error(tmp_path: Path) -> None:
    """Which of the two was meant cannot be known."""
    secret = tmp_path / "key"
    secret.write_text("k-1")
    assert problems(STREAMS_MISO_API_KEY="k", STREAMS_MISO_API_KEY_FILE=str(secret)) == [
        "STREAMS_MISO_API_KEY_FILE: stands beside STREAMS_MISO_API_KEY; give one of them."
    ]


def test_a_secret_file_of_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """The environment wins as a whole, in whichever form it gives the secret."""
    Path("streams.toml").write_text('[miso]\napi_key = "old"\n')
    secret = tmp_path / "key"
    secret.write_text("new")
    assert load_settings({"STREAMS_MISO_API_KEY_FILE": str(secret)}).secrets() == ("new",)


def test_a_secret_of_the_environment_wins_over_a_secret_file_of_the_file(tmp_path: Path) -> None:
    """The file's secret file is neither read now nor when secrets are read again."""
    Path("streams.toml").write_text(f'[miso]\napi_key_file = "{tmp_path}/gone"\n')
    settings = load_settings({"STREAMS_MISO_API_KEY": "new"})
    assert settings.secret_files == {}
    assert settings.with_current_secrets("miso") == settings.vendors["miso"]


def test_a_secret_file_may_be_named_in_the_file(tmp_path: Path) -> None:
    """As api_key_file, beside which api_key is one too many."""
    (tmp_path / "key").write_text("k-1\r\n")
    Path("streams.toml").write_text(f'[miso]\napi_key_file = "{tmp_path}/key"\n')
    assert load_settings({}).secrets() == ("k-1",)
    Path("streams.toml").write_text(f'[miso]\napi_key = "k"\napi_key_file = "{tmp_path}/key"\n')
    (problem,) = problems()
    assert problem == (
        "STREAMS_MISO_API_KEY_FILE ([miso] api_key_file in streams.toml): "
        "stands beside STREAMS_MISO_API_KEY; give one of them."
    )


def test_variables_of_the_test_suite_are_no_settings() -> None:
    """A developer's shell does not keep the commands from starting."""
    load_settings({"STREAMS_TEST_BROKER": "embedded"})


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot read"), (b"\n", "is empty"), (b"\xff\xfe", "is not UTF-8 text")],
)
def test_an_unusable_secret_file_is_one_problem(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    """Missing, empty and garbled files are told apart."""
    secret = tmp_path / "key"
    if content is not None:
        secret.write_bytes(content)
    (problem,) = problems(STREAMS_MISO_API_KEY_FILE=str(secret))
    assert problem.startswith("STREAMS_MISO_API_KEY_FILE: ")
    assert words in problem


def test_a_secret_is_not_repeated_in_a_problem() -> None:
    """Neither a short token nor a key that no header can carry is printed."""
    told = problems(
        STREAMS_WEB_TOKEN="short", STREAMS_MISO_API_KEY="k\u00e9y", STREAMS_MISO_BASE_URL="ftp://x"
    )
    assert told == [
        "STREAMS_WEB_TOKEN: must have at least 8 characters.",
        (
            "STREAMS_MISO_API_KEY: must be printable ASCII without spaces around it: "
            "it is sent in a header."
        ),
        "STREAMS_MISO_BASE_URL: must be scheme, host and port only, like https://api.example.com.",
    ]
    assert not any("short" in line.split(": ", 1)[1] or "k\u00e9y" in line for line in told)


@pytest.mark.parametrize(
    "url",
    [
        "api.askmiso.com",
        "https://api.askmiso.com/v1",
        "https://user:pw@api.askmiso.com",
        "https://api.askmiso.com?key=1",
        "https://api.askmiso.com#x",
        "https://",
        "https://host:99999",
        "ftp://api.askmiso.com",
    ],
)
def test_an_address_is_scheme_host_and_port_only(url: str) -> None:
    """The documented path is appended, so anything else would be sent to the wrong place."""
    (problem,) = problems(STREAMS_MISO_BASE_URL=url)
    assert problem.startswith("STREAMS_MISO_BASE_URL: must be scheme, host and port only")


@pytest.mark.parametrize(
    "host",
    [
        *("api..askmiso.com", ".askmiso.com", "-a.example", "a-.example", "a b.example"),
        *("a%20b.example", "a*b.example", "a,b.example", "{tenant}.voyado.com", "host;x", "ho\\st"),
        *("a" * 64 + ".example", ".".join(["a" * 60] * 5), "xn--zzzz.example", "xn--.example"),
        *("☃.example", "ex\u200bample.com", "ﬀ.example", "999.1.1.1", "1.2.3", "10.0.0.256"),
    ],
)
def test_an_address_has_a_host_name(host: str) -> None:
    """Found at start, by the rules of its look-up, not when the first request is made."""
    (problem,) = problems(STREAMS_MISO_BASE_URL=f"https://{host}:8443")
    assert problem.startswith(f"STREAMS_MISO_BASE_URL: {host} is no host name: ") or (
        not host.isprintable() and "must be scheme, host and port only" in problem
    )


@pytest.mark.parametrize(
    "host",
    [
        *("api.askmiso.com", "API.Example.COM", "api.example.com.", "bücher.example", "faß.de"),
        *("xn--bcher-kva.example", "مثال.إختبار", "branch--site.example", "vendor_sandbox"),
        *("localhost", "203.0.113.7", "[2001:db8::7]", "3.example", "a" * 63 + ".example"),
    ],
)
def test_every_host_name_will_do(host: str) -> None:
    """And what containers are called; httpx reads the same."""
    url = f"https://{host}:8443"
    load_settings({"STREAMS_MISO_BASE_URL": url})
    assert httpx.URL(url).port == 8443


def test_a_key_does_not_travel_unencrypted() -> None:
    """Plain http is for this machine, or for no key at all."""
    assert problems(STREAMS_MISO_API_KEY="k", STREAMS_MISO_BASE_URL="http://sandbox:7070") == [
        (
            "STREAMS_MISO_BASE_URL: must begin with https://, or the key would reach sandbox "
            "unencrypted."
        )
    ]
    load_settings({"STREAMS_MISO_BASE_URL": "http://sandbox:7070"})
    for host in ("localhost", "127.0.0.9", "[::1]"):
        settings = load_settings(
            {"STREAMS_MISO_API_KEY": "k", "STREAMS_MISO_BASE_URL": f"http://{host}:7070/"}
        )
        assert settings.vendors["miso"].base_url == f"http://{host}:7070"


def test_kafka_security_fits_together(tmp_path: Path) -> None:
    """What the protocol needs must be there, and what it ignores must not."""
    assert problems(STREAMS_KAFKA_SECURITY_PROTOCOL="SASL_SSL") == [
        "STREAMS_KAFKA_SASL_MECHANISM: is missing; security_protocol SASL_SSL needs it.",
        "STREAMS_KAFKA_SASL_USERNAME: is missing; security_protocol SASL_SSL needs it.",
        "STREAMS_KAFKA_SASL_PASSWORD: is missing; security_protocol SASL_SSL needs it.",
    ]
    cafile = tmp_path / "ca.pem"
    assert problems(STREAMS_KAFKA_SASL_USERNAME="u", STREAMS_KAFKA_SSL_CAFILE=str(cafile)) == [
        (
            "STREAMS_KAFKA_SASL_USERNAME: has no effect with security_protocol PLAINTEXT; "
            "SASL_SSL uses it."
        ),
        (
            "STREAMS_KAFKA_SSL_CAFILE: has no effect with security_protocol PLAINTEXT; "
            "SSL and SASL_SSL use it."
        ),
    ]
    assert problems(
        STREAMS_KAFKA_SECURITY_PROTOCOL="SSL", STREAMS_KAFKA_SSL_CAFILE=str(cafile)
    ) == [f"STREAMS_KAFKA_SSL_CAFILE: there is no file {cafile}."]
    cafile.write_text("no certificate")
    (problem,) = problems(
        STREAMS_KAFKA_SECURITY_PROTOCOL="SSL", STREAMS_KAFKA_SSL_CAFILE=str(cafile)
    )
    assert problem.startswith(f"STREAMS_KAFKA_SSL_CAFILE: {cafile} cannot be used (")


def test_sasl_options_are_those_of_aiokafka() -> None:
    """Names and values as the clients take them."""
    options = load_settings(
        {
            "STREAMS_KAFKA_BOOTSTRAP_SERVERS": "b1:9092, b2:9092",
            "STREAMS_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "STREAMS_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "STREAMS_KAFKA_SASL_USERNAME": "relay",
            "STREAMS_KAFKA_SASL_PASSWORD": "p w",
        }
    ).kafka.client_options()
    assert options == {
        "bootstrap_servers": ["b1:9092", "b2:9092"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "relay",
        "sasl_plain_password": "p w",
    }


def test_bootstrap_servers_need_ports() -> None:
    """A host alone is a frequent mistake."""
    assert problems(STREAMS_KAFKA_BOOTSTRAP_SERVERS="kafka") == [
        'STREAMS_KAFKA_BOOTSTRAP_SERVERS: must be host:port, separated by commas, not "kafka".'
    ]


def test_web_ports_leave_room_for_stages_and_slots() -> None:
    """Four further stages, and ten slots of ten ports."""
    settings = load_settings({"STREAMS_WEB_PORT": "6100"})
    assert settings.web_port("enrich") == 6100
    assert settings.web_port("miso") == 6103
    assert settings.web_port("ingest") == 6104
    assert settings.web_port("miso", slot=2) == 6123
    assert problems(STREAMS_WEB_PORT="65500") == [
        'STREAMS_WEB_PORT: must be at most 65441, not "65500".'
    ]
    with pytest.raises(SettingsError, match="STREAMS_WEB_PORT: 6100 leaves no port for slot 9000"):
        settings.web_port("enrich", slot=9000)


def test_stages_need_what_they_use() -> None:
    """Credentials belong to the vendor's own stage; enrichment needs a vendor that is on."""
    on = load_settings({"STREAMS_MISO_ENABLED": "true"})
    on.require_stage("enrich")
    with pytest.raises(SettingsError) as caught:
        on.require_stage("miso")
    assert caught.value.problems == (
        "STREAMS_MISO_API_KEY: is missing; stage miso cannot deliver without it.",
    )
    off = load_settings({"STREAMS_MISO_ENABLED": "false", "STREAMS_MISO_API_KEY": "k"})
    assert off.enabled_vendors() == ()
    with pytest.raises(SettingsError, match="STREAMS_MISO_ENABLED: is false"):
        off.require_stage("miso")
    with pytest.raises(SettingsError, match="No vendor is on: set STREAMS_MISO_API_KEY or STR"):
        load_settings({}).require_stage("enrich")
    with pytest.raises(SettingsError, match='"mise" is not a stage; there are: enrich, '):
        on.require_stage("mise")
    load_settings({"STREAMS_MISO_API_KEY": "k"}).require_stage("miso")


def test_field_maps_come_from_the_file_or_as_json() -> None:
    """Dotted parts, and the format of times beside or among them."""
    Path("streams.toml").write_text(
        '[source.clicks]\ntimestamp_format = "s"\n'
        '[source.clicks.fields]\nsku = "item.sku"\npage.url = "location"\n'
        '[source.add-to-carts.fields]\ntimestamp_format = "ms"\ntimestamp = "at"\n'
    )
    settings = load_settings({})
    assert settings.sources["clicks"].fields == {"sku": "item.sku", "page": {"url": "location"}}
    assert settings.sources["clicks"].timestamp_format == ("s",)
    assert settings.sources["add-to-carts"].fields == {"timestamp": "at"}
    assert settings.sources["add-to-carts"].timestamp_format == ("ms",)
    read = settings.sources["clicks"].field_map()
    assert read is not None
    assert read.read_time(1_795_168_800) == (1_795_168_800_000, False)
    replaced = load_settings({"STREAMS_SOURCE_CLICKS_FIELDS": '{"product_id": "p.id"}'})
    assert replaced.sources["clicks"].fields == {"product_id": "p.id"}


def test_formats_of_times_may_be_a_list_with_a_zone() -> None:
    """In the file as in the environment, beside or among the fields."""
    Path("streams.toml").write_text(
        '[source.clicks]\ntimestamp_format = ["us", "%Y-%m-%d %H:%M"]\ntimezone = "Europe/Berlin"\n'
        '[source.add-to-carts.fields]\ntimestamp_format = "%d.%m.%Y %Z"\ntimezone = "Asia/Tokyo"\n'
    )
    settings = load_settings({})
    assert settings.sources["clicks"].timestamp_format == ("us", "%Y-%m-%d %H:%M")
    read = settings.sources["clicks"].field_map()
    assert read is not None
    assert read.read_time("2026-11-20 10:00") == (1_795_165_200_000, False)
    assert settings.sources["add-to-carts"].timezone == "Asia/Tokyo"
    replaced = load_settings({"STREAMS_SOURCE_CLICKS_TIMESTAMP_FORMAT": '["ns", "%Y %j"]'})
    assert replaced.sources["clicks"].timestamp_format == ("ns", "%Y %j")


def test_times_that_cannot_be_read_are_named() -> None:
    """A zone that is none, one that nothing needs, and a name of a zone without one."""
    told = problems(
        STREAMS_SOURCE_CLICKS_TIMESTAMP_FORMAT="%Y-%m-%d %H:%M:%S %Z",
        STREAMS_SOURCE_ADD_TO_CARTS_TIMESTAMP_FORMAT="%Y%j",
        STREAMS_SOURCE_ADD_TO_CARTS_TIMEZONE="Europe/Berlim",
    )
    assert told == [
        (
            "STREAMS_SOURCE_CLICKS_TIMESTAMP_FORMAT: '%Y-%m-%d %H:%M:%S %Z': %Z needs a timezone, "
            "which says what the names mean."
        ),
        (
            'STREAMS_SOURCE_ADD_TO_CARTS_TIMEZONE: "Europe/Berlim" is no IANA name such as '
            "Europe/Berlin."
        ),
    ]
    (no_day,) = problems(STREAMS_SOURCE_CLICKS_TIMESTAMP_FORMAT="%H:%M")
    assert no_day.startswith("STREAMS_SOURCE_CLICKS_TIMESTAMP_FORMAT: '%H:%M': says no day; ")
    assert problems(STREAMS_SOURCE_CLICKS_TIMEZONE="Europe/Berlin") == [
        "STREAMS_SOURCE_CLICKS_TIMEZONE: is for patterns without a zone, and there is none."
    ]


def test_a_byte_order_mark_is_taken_off() -> None:
    """Windows' editors write one at the beginning of settings and of secrets."""
    Path("streams.toml").write_bytes(b"\xef\xbb\xbf[web]\nport = 7000\n")
    Path("key").write_bytes(b"\xef\xbb\xbfk-secret\r\n")
    settings = load_settings({"STREAMS_MISO_API_KEY_FILE": "key"})
    assert settings.web.port == 7000
    assert settings.secrets() == ("k-secret",)


def test_a_field_map_that_cannot_be_read_is_named() -> None:
    """Unknown fields, broken expressions and formats that are none."""
    told = problems(
        STREAMS_SOURCE_CLICKS_FIELDS='{"skus": "a", "sku": "a.["}',
        STREAMS_SOURCE_CLICKS_TIMESTAMP_FORMAT="%Q",
        STREAMS_SOURCE_ADD_TO_CARTS_FIELDS="sku=a",
        STREAMS_SOURCE_ADD_TO_CARTS_TIMESTAMP_FORMAT="millis",
    )
    assert sorted(line.split(":")[0] for line in told) == [
        "STREAMS_SOURCE_ADD_TO_CARTS_FIELDS",
        "STREAMS_SOURCE_ADD_TO_CARTS_TIMESTAMP_FORMAT",
        "STREAMS_SOURCE_CLICKS_FIELDS",
        "STREAMS_SOURCE_CLICKS_FIELDS",
        "STREAMS_SOURCE_CLICKS_TIMESTAMP_FORMAT",
    ]
    assert "STREAMS_SOURCE_CLICKS_FIELDS: skus: events have no such field." in told
    assert problems(STREAMS_SOURCE_CLICKS_FIELDS='{"sku": 5}') == [
        'STREAMS_SOURCE_CLICKS_FIELDS: sku must be text, not "5".'
    ]


def test_settings_are_frozen_and_masked() -> None:
    """Nobody changes them, and no repr shows a secret."""
    settings = load_settings({"STREAMS_MISO_API_KEY": "k-secret", "STREAMS_WEB_TOKEN": "t-secret"})
    assert "k-secret" not in repr(settings)
    assert "t-secret" not in repr(settings)
    with pytest.raises(AttributeError):
        settings.kafka = settings.kafka  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.vendors["x"] = settings.vendors["miso"]  # type: ignore[index]


EXAMPLE = (
    (ROOT / "streams.example.toml").read_text() if (ROOT / "streams.example.toml").exists() else ""
)


def uncommented() -> str:
    """The example with every setting that is commented out switched on."""
    return re.sub(r"(?m)^# (?=[a-z_.]+ = |\[(?:ingest|events)\.)", "", EXAMPLE)


def test_the_example_file_is_complete() -> None:
    """Every setting has a line with its comment, and there is none that does not exist."""
    content = tomllib.loads(uncommented())
    shown = {
        section: set(
            content["source"][section.split(".")[1]] if "." in section else content[section]
        )
        for section in section_models()
    }
    assert shown == {name: set(model.model_fields) for name, model in section_models().items()}
    (ingest,) = content["ingest"].values()
    assert set(ingest) == set(IngestSettings.model_fields)
    (event,) = content["events"].values()
    assert set(event) == set(EventSettings.model_fields)
    settings = re.findall(r"(?m)^(?:# )?[a-z_.]+ = .*$", EXAMPLE)
    described = re.findall(r"(?m)^#[^\n]*\n(?:# )?[a-z_.]+ = .*$", EXAMPLE)
    assert len(described) == len(settings)


def test_the_example_file_is_valid() -> None:
    """As it is, it changes nothing; with everything switched on it still loads."""
    Path("streams.toml").write_text(EXAMPLE)
    assert load_settings({}) == load_settings({"STREAMS_CONFIG": "/dev/null"})
    authority = trustme.CA()
    authority.cert_pem.write_to_path("company-ca.pem")
    authority.cert_pem.write_to_path("ca.pem")
    issued = authority.issue_cert("relay.example")
    issued.cert_chain_pems[0].write_to_path("relay.pem")
    issued.private_key_pem.write_to_path("relay.key")
    # The ways to log in exclude each other; that of the example is SCRAM. Products have no visitor.
    others = r"(?m)^(oauth_\w+|aws_region|visitor_from) = .*$"
    Path("streams.toml").write_text(re.sub(others, "", uncommented()))
    settings = load_settings({})
    assert settings.enabled_vendors() == tuple(VENDORS)


def test_the_example_environment_starts() -> None:
    """.env.example holds no unknown variable, and filling it in is enough for a vendor to be on."""
    lines = re.findall(r"(?m)^#? ?(STREAMS_[A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text())
    given = dict(lines)
    load_settings(given)
    for key, vendor in VENDORS.items():
        for name in vendor.credentials:
            assert variable(key, name) in given


def ingest_problems(text: str) -> list[str]:
    """What loading these sections complains about."""
    Path("streams.toml").write_text(text)
    return problems()


def test_sections_of_ingest_come_from_the_file_by_name() -> None:
    """Variables win over them; without one the stage is not there."""
    Path("streams.toml").write_text(
        '[ingest.web-views]\ntopic = "web"\nto = "clicks"\nwhen = "n == \'v\'"\n'
        '[ingest.web-views.fields]\nproduct_id = "item.id"\ntimestamp_format = "us"\n'
        '[ingest.people]\ntopic = "crm"\nto = "users"\nenvelope = "debezium"\nkey = "id"\n'
        '[ingest.people.fields]\nemail = "mail"\n'
    )
    settings = load_settings(
        {"STREAMS_INGEST_WEB_VIEWS_TOPIC": "web2", "STREAMS_MISO_API_KEY": "k"}
    )
    assert list(settings.ingest) == ["web-views", "people"]
    assert settings.ingest["web-views"].topic == "web2"
    assert settings.ingest["web-views"].timestamp_format == ("us",)
    assert set(settings.ingest_mappings()) == {"web2", "crm"}
    assert settings.stages() == ("ingest", "enrich", "miso")
    assert settings.web_port("ingest") == 6070
    assert load_settings({"STREAMS_CONFIG": "/dev/null"}).stages() == ("enrich",)
    with pytest.raises(SettingsError, match="ingest has nothing to do"):
        load_settings({"STREAMS_CONFIG": "/dev/null"}).require_stage("ingest")


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ('to = "clicks"', "STREAMS_INGEST_A_TOPIC ([ingest.a] topic in streams.toml): is missing."),
        (
            'topic = "t"\nto = "click"',
            (
                "STREAMS_INGEST_A_TO ([ingest.a] to in streams.toml): "
                f'must be one of {", ".join(TARGETS)}, not "click".'
            ),
        ),
        (
            'topic = "t"\nto = "clicks"\nwhen = "a =="',
            (
                "STREAMS_INGEST_A_WHEN: 'a ==' is not valid JMESPath: Invalid jmespath expression: "
                "Incomplete expression."
            ),
        ),
        (
            'topic = "t"\nto = "clicks"\neach = "lower(a)"',
            "STREAMS_INGEST_A_EACH: 'lower(a)': JMESPath has no function lower().",
        ),
        (
            'topic = "t"\nto = "users"\n[ingest.a.fields]\nsku = "x"',
            "STREAMS_INGEST_A_FIELDS: sku: rows of users have no such field.",
        ),
        (
            'topic = "shop.clicks"\nto = "clicks"',
            "[ingest.a]: topic shop.clicks is one of streams itself; name a topic of the shop.",
        ),
        (
            'topic = "t"\nto = "clicks"\nformat = "confluent-avro"',
            "[ingest.a]: format confluent-avro needs [registry] url.",
        ),
        (
            'topic = "t"\nto = "clicks"\n[ingest.b]\ntopic = "t"\nto = "clicks"',
            (
                "[ingest.b]: would write events of the same ids as [ingest.a] to clicks: give "
                "each an event_id of its own in fields, or a when that is never true for the "
                "same record."
            ),
        ),
        (
            (
                'topic = "t"\nto = "clicks"\n[ingest.b]\ntopic = "t"\nto = "users"\n'
                'format = "confluent-json"'
            ),
            "[ingest.b]: must have the format of [ingest.a], which reads the same topic.",
        ),
        (
            'topic = "t"\nto = "clicks"\n[source.clicks.fields]\nsku = "x"',
            (
                '[ingest.a]: writes to "clicks", whose records [source.clicks] would map once '
                "more; move that map to this section."
            ),
        ),
    ],
)
def test_sections_of_ingest_that_cannot_work_are_named(section: str, problem: str) -> None:
    """One sentence each, with the section and what to do."""
    assert ingest_problems(f"[ingest.a]\n{section}\n") == [problem]


LINKS = '[ingest.l]\ntopic = "web"\nto = "visitors"\n'


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        (
            'to = "clicks"\nvisitor_from = "email"',
            (
                "STREAMS_INGEST_A_VISITOR_FROM ([ingest.a] visitor_from in streams.toml): must be "
                '"user_id", "order_id", or a list of both.'
            ),
        ),
        (
            'to = "clicks"\nvisitor_from = ["user_id", "user_id"]',
            (
                "STREAMS_INGEST_A_VISITOR_FROM ([ingest.a] visitor_from in streams.toml): must be "
                '"user_id", "order_id", or a list of both.'
            ),
        ),
        (
            'to = "users"\nvisitor_from = "user_id"',
            "[ingest.a]: visitor_from is for events, not for rows of users.",
        ),
        (
            'to = "visitors"\nvisitor_from = "user_id"',
            "[ingest.a]: visitor_from is for events, not for rows of visitors.",
        ),
        (
            'to = "clicks"\nkey = "k"\nvisitor_from = "user_id"',
            "[ingest.a]: visitor_from and key exclude each other; leave key out.",
        ),
        (
            f'to = "clicks"\nvisitor_from = "order_id"\n{LINKS}',
            "[ingest.a]: visitor_from names order_id, which clicks do not have.",
        ),
        (
            'to = "orders"\nvisitor_from = "order_id"\n[source.orders]\nenabled = true',
            (
                '[ingest.a]: visitor_from names order_id, but no section writes to "visitors", '
                "which says whose an order is."
            ),
        ),
        (
            f'to = "clicks"\nvisitor_from = "user_id"\n{LINKS.replace("web", "t")}',
            (
                "[ingest.a]: visitor_from: topic t also says who the visitors are, and a record "
                "would wait for one of the same topic; let the shop write them to different topics."
            ),
        ),
        (
            'to = "clicks"\nvisitor_from = "user_id"\n[ingest.u]\ntopic = "t"\nto = "users"\n',
            (
                "[ingest.a]: visitor_from: topic t also says who the visitors are, and a record "
                "would wait for one of the same topic; let the shop write them to different topics."
            ),
        ),
        (
            'to = "visitors"\nkey = "k"',
            (
                "[ingest.a]: key has no effect: the order or the visitor is the key of a row of "
                "visitors."
            ),
        ),
    ],
)
def test_what_keeps_visitors_from_being_found_is_named(section: str, problem: str) -> None:
    """One sentence each."""
    assert ingest_problems(f'[ingest.a]\ntopic = "t"\n{section}\n') == [problem]


def test_visitors_cost_nothing_where_no_section_looks_for_them() -> None:
    """No topic is made or read; with the option both tables are."""
    plain = Topics("x.", ("erp",), ("orders",))
    assert plain.of_join == ()
    assert read_topics(plain, "ingest") == ("erp",)
    Path("streams.toml").write_text(
        '[source.orders]\nenabled = true\n[ingest.a]\ntopic = "erp"\nto = "orders"\n'
        f'visitor_from = ["order_id", "user_id"]\n{LINKS}'
    )
    topics = load_settings({}).topics
    assert read_topics(topics, "ingest") == ("erp", "web", "shop.users", "shop.visitors")
    assert load_settings({"STREAMS_INGEST_A_VISITOR_FROM": '["user_id"]'}).ingest[
        "a"
    ].visitor_from == ("user_id",)
    (spec,) = (one for one in topics.specs((), 6) if one.name == "shop.visitors")
    assert spec.cleanup == "compact,delete"
    assert topics.is_ours("shop.visitors")
    assert "shop.visitors" not in {one.name for one in plain.specs((), 6)}


def test_names_of_ingest_sections_make_variables() -> None:
    """Two that make the same ones would share their settings."""
    assert ingest_problems(
        '[ingest.a-b]\ntopic = "t"\nto = "clicks"\n[ingest.a_b]\ntopic = "u"\nto = "clicks"\n'
    ) == [
        (
            "[ingest.a_b] in streams.toml: has the same variables STREAMS_INGEST_A_B_… as "
            "[ingest.a-b]; rename one of them."
        )
    ]
    assert ingest_problems('[ingest."a.b"]\ntopic = "t"\nto = "clicks"\n') == [
        "[ingest.a.b] in streams.toml: must be named by 1 to 40 letters, digits, - and _."
    ]
    assert ingest_problems("[ingest]\ntopic = 5\n") != []


def test_a_section_of_events_has_the_name_of_the_events(tmp_path: Path) -> None:
    """Whatever the shop calls them; two that make the same variables are refused."""
    file = tmp_path / "streams.toml"
    env = {"STREAMS_CONFIG": str(file)}
    file.write_text('[events."Product Reviewed"]\nmiso = "rate"\n[events."läst: a.b"]\n')
    found = load_settings(env | {"STREAMS_EVENTS_PRODUCT_REVIEWED_EIGHTSELECT_ACTION": "review"})
    assert list(found.events) == ["Product Reviewed", "läst: a.b"]
    section = found.events["Product Reviewed"]
    assert (section.miso, section.eightselect_action) == ("rate", "review")
    for names, words in (
        (("a b", "a-b"), "has the same variables STREAMS_EVENTS_A_B_… as"),
        ((" ",), "must be named by 1 to 128 characters that can be seen"),
        (("a\\tb",), "must be named by 1 to 128 characters that can be seen"),
        (("n" * 129,), "must be named by 1 to 128 characters that can be seen"),
    ):
        file.write_text("".join(f'[events."{name}"]\n' for name in names))
        with pytest.raises(SettingsError, match=words):
            load_settings(env)


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        (
            'miso = "review"',
            (
                "STREAMS_EVENTS_A_MISO ([events.a] miso in streams.toml): "
                '"review" is no interaction type of Miso; there are add_to_cart,'
            ),
        ),
        (
            'miso = "search"\nmiso_fields = {product_ids = "ids"}',
            (
                "STREAMS_EVENTS_A_MISO_FIELDS ([events.a] miso_fields in streams.toml): "
                "a record of type search has no product_ids; its properties are search."
            ),
        ),
        (
            'miso = "rate"\nmiso_fields = {rating = "a ||"}',
            (
                "STREAMS_EVENTS_A_MISO_FIELDS ([events.a] miso_fields in streams.toml): "
                "rating: 'a ||' is not valid JMESPath"
            ),
        ),
        (
            'miso = "custom"',
            (
                "STREAMS_EVENTS_A ([events.a] in streams.toml): "
                "miso_custom_action_name is missing, which the type custom needs."
            ),
        ),
        (
            'miso = "like"\nmiso_custom_action_name = "x"',
            (
                "STREAMS_EVENTS_A ([events.a] in streams.toml): "
                "miso_custom_action_name is for the type custom, not like."
            ),
        ),
        (
            'miso_custom_action_name = "x"',
            (
                "STREAMS_EVENTS_A ([events.a] in streams.toml): "
                "miso names no type, so its other settings have no effect."
            ),
        ),
        (
            'voyado_fields = {stars = "rating"}',
            (
                "STREAMS_EVENTS_A ([events.a] in streams.toml): "
                "voyado_schema_id is missing, so voyado_fields have no effect."
            ),
        ),
        (
            'voyado_schema_id = "s"\nvoyado_fields = {eventId = "id"}',
            (
                "STREAMS_EVENTS_A_VOYADO_FIELDS ([events.a] voyado_fields in streams.toml): "
                "eventId is always sent, and is the event's id."
            ),
        ),
        (
            'voyado_schema_id = "PRODUCTCLICK"',
            (
                "[events.a]: voyado_schema_id PRODUCTCLICK differs from productClick in case only, "
                "and Voyado's mail editor has both in lower case; rename one of them."
            ),
        ),
    ],
)
def test_sections_of_events_that_cannot_work_are_named(section: str, problem: str) -> None:
    """What Miso's type requires, allows and forbids is known before any event comes."""
    (told,) = ingest_problems(f"[events.a]\n{section}\n")
    assert told.startswith(problem)


def test_a_section_of_ingest_may_write_to_a_source_that_is_on() -> None:
    """Else its events would lie there unread."""
    section = '[ingest.a]\ntopic = "t"\nto = "orders"\n'
    assert ingest_problems(section) == [
        '[ingest.a]: writes to "orders", which is off; set [source.orders] enabled = true.'
    ]
    Path("streams.toml").write_text(f"{section}[source.orders]\nenabled = true\n")
    topics = load_settings({}).topics
    assert topics.raw == ("shop.clicks", "shop.add-to-carts", "shop.orders")
    assert topics.fed == ("orders",)


def test_registry_is_an_address_with_both_or_none_of_user_and_password() -> None:
    """A password does not travel unencrypted."""
    assert problems(
        STREAMS_REGISTRY_URL="http://r.example/path", STREAMS_REGISTRY_PASSWORD="p"
    ) == [
        (
            "STREAMS_REGISTRY_URL: must begin with https://, or the key would reach r.example "
            "unencrypted."
        ),
        "STREAMS_REGISTRY_USERNAME: is missing; username and password go together.",
    ]
    settings = load_settings(
        {
            "STREAMS_REGISTRY_URL": "https://r.example/apis/ccompat/v7",
            "STREAMS_REGISTRY_USERNAME": "u",
            "STREAMS_REGISTRY_PASSWORD": "pass-word",
        }
    )
    assert settings.secrets() == ("pass-word",)


PROXY = "STREAMS_HTTP_PROXY"
SHAPE = "must be scheme, host and port only, like http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({PROXY: "http://proxy:3128/path"}, f"{PROXY}: {SHAPE}, without a path."),
        ({PROXY: "http://proxy:3128?a"}, f"{PROXY}: {SHAPE}, without a path."),
        ({PROXY: "proxy:3128"}, f"{PROXY}: {SHAPE}."),
        ({PROXY: "http://proxy"}, f"{PROXY}: {SHAPE}."),
        ({PROXY: "socks5://proxy:1080"}, f"{PROXY}: {SHAPE}."),
        (
            {PROXY: "https://proxy:3128"},
            f"{PROXY}: must begin with http://; what goes to vendors is encrypted all the same.",
        ),
        (
            {PROXY: "http://relay:hidden-word@proxy:3128"},
            f"{PROXY}: must hold no password; give it as STREAMS_HTTP_PROXY_PASSWORD.",
        ),
        (
            {PROXY: "http://proxy:3128", f"{PROXY}_PASSWORD": "hidden-word"},
            f"{PROXY}: names no user for proxy_password; write http://user@host:port.",
        ),
        (
            {f"{PROXY}_PASSWORD": "hidden-word"},
            f"{PROXY}_PASSWORD: has no effect without proxy.",
        ),
        (
            {"STREAMS_HTTP_NO_PROXY": "a.example,https://b.example"},
            'STREAMS_HTTP_NO_PROXY: takes hosts without scheme or port, not "https://b.example".',
        ),
        (
            {"STREAMS_HTTP_NO_PROXY": "10.0.0.0/33"},
            'STREAMS_HTTP_NO_PROXY: takes networks such as 10.0.0.0/8, not "10.0.0.0/33".',
        ),
        (
            {"STREAMS_HTTP_NO_PROXY": "a.example b.example"},
            (
                "STREAMS_HTTP_NO_PROXY: takes hosts separated by commas, and * alone or as the "
                'first label, not "a.example b.example".'
            ),
        ),
        (
            {"STREAMS_HTTP_CA_FILE": "/nowhere/ca.pem"},
            "STREAMS_HTTP_CA_FILE: /nowhere/ca.pem cannot be used: No such file or directory.",
        ),
    ],
)
def test_a_proxy_that_cannot_be_meant_is_refused(environ: dict[str, str], problem: str) -> None:
    """One sentence with the variable's name; a password is never shown."""
    found = problems(**environ)
    assert found == [problem]
    assert "hidden-word" not in "".join(found)


def test_a_ca_file_without_a_certificate_is_refused(tmp_path: Path) -> None:
    """Whatever else stands in it."""
    (tmp_path / "ca.pem").write_text("no certificate")
    (problem,) = problems(STREAMS_HTTP_CA_FILE=str(tmp_path / "ca.pem"))
    assert problem.startswith(f"STREAMS_HTTP_CA_FILE: {tmp_path}/ca.pem cannot be used: ")


def test_the_token_for_metrics_goes_with_another_one() -> None:
    """Else it would protect nothing, or open everything."""
    name = "STREAMS_WEB_METRICS_TOKEN"
    assert problems(**{name: "metrics-token"}) == [
        f"{name}: has no effect without token: then /metrics needs none."
    ]
    assert problems(**{name: "the-same-token", "STREAMS_WEB_TOKEN": "the-same-token"}) == [
        f"{name}: must differ from token, which may do everything."
    ]


def test_the_level_of_log_lines_is_a_word() -> None:
    """Of four."""
    assert load_settings({}).log.level == "info"
    assert load_settings({"STREAMS_LOG_LEVEL": "debug"}).log.level == "debug"
    (problem,) = problems(STREAMS_LOG_LEVEL="loud")
    assert problem.startswith("STREAMS_LOG_LEVEL: must be one of debug, info, warning or error")
