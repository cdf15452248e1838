"""How long enrichment gathers records, by the vendors that are on."""

import pytest

from streams.app import gathering
from streams.engine.fetcher import PATIENT, PROMPT, Gathering
from streams.settings import ENRICH, load_settings

MISO = {"STREAMS_MISO_API_KEY": "test"}
HASTY = {"STREAMS_MISO_LINGER_SECONDS": "0.1"}
EIGHTSELECT = {"STREAMS_EIGHTSELECT_API_ID": "test"}


@pytest.mark.parametrize(
    ("stage", "environ", "wanted"),
    [
        (ENRICH, MISO, PATIENT),
        (ENRICH, MISO | HASTY, PROMPT),
        (ENRICH, MISO | EIGHTSELECT, PROMPT),
        (ENRICH, {}, PROMPT),
        ("miso", MISO, PROMPT),
    ],
)
def test_enrichment_is_patient_only_where_each_vendor_gathers_micro_batches(
    stage: str, environ: dict[str, str], wanted: Gathering
) -> None:
    """Elsewhere its milliseconds add to what a vendor waits for."""
    assert gathering(load_settings(environ), stage) == wanted
