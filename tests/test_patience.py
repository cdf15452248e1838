"""How far apart enrichment's fetch requests are at least, by the vendors that are on."""

import pytest

from streams.app import PATIENT_FETCH_SECONDS, least_fetch_seconds
from streams.engine.fetcher import LEAST_SECONDS
from streams.settings import ENRICH, load_settings

MISO = {"STREAMS_MISO_API_KEY": "test"}
HASTY = {"STREAMS_MISO_LINGER_SECONDS": "0.1"}
EIGHTSELECT = {"STREAMS_EIGHTSELECT_API_ID": "test"}


@pytest.mark.parametrize(
    ("stage", "environ", "seconds"),
    [
        (ENRICH, MISO, PATIENT_FETCH_SECONDS),
        (ENRICH, MISO | HASTY, LEAST_SECONDS),
        (ENRICH, MISO | EIGHTSELECT, LEAST_SECONDS),
        (ENRICH, {}, LEAST_SECONDS),
        ("miso", MISO, LEAST_SECONDS),
    ],
)
def test_enrichment_is_patient_only_where_each_vendor_gathers_micro_batches(
    stage: str, environ: dict[str, str], seconds: float
) -> None:
    """Elsewhere its milliseconds add to what a vendor waits for."""
    assert least_fetch_seconds(load_settings(environ), stage) == seconds
