"""What is known of a pipeline, before anything is judged."""

from tests.status.test_judge import NOW, pipeline, worker

EVENTS, USERS = "vendor.miso.events", "shop.users"
COUNTS = {EVENTS: 3, USERS: 3}


def test_a_partition_has_no_owner_if_no_worker_that_speaks_has_it() -> None:
    """Two workers share a topic; the one that is silent owns nothing, nor do other stages."""
    first = worker("miso", partitions={EVENTS: [0, 1], USERS: [0]})
    second = worker("miso", partitions={EVENTS: [1], USERS: [1, 2]}, slot=1)
    silent = worker("miso", silent=20, partitions={EVENTS: [2]}, slot=2)
    other = worker("eightselect", partitions={EVENTS: [2]})
    known = pipeline(first, second, silent, other)
    assert known.without_owner("miso", COUNTS) == {EVENTS: 1, USERS: 0}
    assert pipeline(without=["miso"]).without_owner("miso", COUNTS) == {EVENTS: 3, USERS: 3}


def test_while_kafka_is_silent_nobody_is_said_to_be_missing() -> None:
    """What others have is unknown then."""
    first = worker("miso", partitions={EVENTS: [0]})
    assert pipeline(first, kafka_silent_since=NOW).without_owner("miso", COUNTS) == {}


def test_a_stage_whose_records_wait_for_the_schema_registry_is_not_said_to_start() -> None:
    """Also where other workers of it have nothing to wait for."""
    away = worker("miso", slot=1, ready=False, not_ready=["registry: It is away."])
    known = pipeline(worker("miso"), away)
    assert [known.state(stage) for stage in known.stages] == ["running", "running", "waiting"]
