"""What belongs together lies in one worker: events, redeliveries and users of a partition."""

from pathlib import Path
from typing import Any

import pytest

from streams.app import build
from streams.engine.app import StageApp
from streams.kafka.topics import needed_topics, read_topics
from streams.settings import load_settings

PARTITIONS = 6
ENV = {"STREAMS_MISO_API_KEY": "sandbox-secret"}


class Cluster:
    """Knows how many partitions each topic has."""

    def __init__(self, partitions: dict[str, int]) -> None:
        self._partitions = partitions

    def partitions_for_topic(self, topic: str) -> set[int]:
        """Return their numbers."""
        return set(range(self._partitions[topic]))


class Group:
    """Sinks that join and leave; the first of them assigns, as the group's leader does."""

    def __init__(self, folder: Path) -> None:
        settings = load_settings(ENV | {"STREAMS_STATE_DIR": str(folder)})
        self.topics = settings.topics
        needed = needed_topics(self.topics, "miso", ["miso"])
        single = (self.topics.control, self.topics.status)
        self._partitions = {name: 1 if name in single else PARTITIONS for name in needed}
        self._settings = settings
        self._subscriptions: dict[str, set[str]] = {}
        self.members: dict[str, StageApp] = {}
        self.assigned: dict[str, dict[str, list[int]]] = {}

    def join(self, slot: int, *, reads: tuple[str, ...] = ()) -> None:
        """Let a worker join; ``reads``: the subscription of an older version."""
        app, _ = build(self._settings, "miso", slot, self._partitions)
        member = f"m{slot}"
        self.members[member] = app
        self._subscriptions[member] = set(reads or read_topics(self.topics, "miso"))
        self._rebalance()

    def leave(self, slot: int) -> None:
        """Take a worker out."""
        del self.members[f"m{slot}"]
        self._rebalance()

    def _rebalance(self) -> None:
        metadata = {
            member: app.assignor.metadata(self._subscriptions[member])
            for member, app in self.members.items()
        }
        leader: Any = next(iter(self.members.values())).assignor
        found = leader.assign(Cluster(self._partitions), metadata)
        for member, assignment in found.items():
            self.members[member].assignor.on_assignment(assignment)
        self.assigned = {member: dict(each.assignment) for member, each in found.items()}

    def check(self) -> None:
        """Each partition has one owner, of all three topics; everybody hears the operator."""
        events, redelivery = self.topics.events("miso"), self.topics.redelivery("miso")
        owned = []
        for assigned in self.assigned.values():
            of_events = sorted(assigned.get(events, []))
            assert sorted(assigned.get(redelivery, [])) == of_events
            assert sorted(assigned.get(self.topics.users, [])) == of_events
            assert set(assigned[self.topics.control]) == {0}
            owned += of_events
        assert sorted(owned) == list(range(PARTITIONS))


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 5, 6])
def test_events_redeliveries_and_users_of_a_partition_have_one_owner(
    workers: int, tmp_path: Path
) -> None:
    """However many workers come and go; plain round robin would part them at four and five."""
    group = Group(tmp_path)
    for slot in range(workers):
        group.join(slot)
        group.check()
    sizes = [len(each[group.topics.events("miso")]) for each in group.assigned.values()]
    assert max(sizes) - min(sizes) <= 1
    for slot in range(workers - 1):
        group.leave(slot)
        group.check()


def test_members_of_an_older_version_part_nothing_for_longer_than_they_are_there(
    tmp_path: Path,
) -> None:
    """They read events alone; when the last of them is gone all lies together."""
    group = Group(tmp_path)
    events = (group.topics.events("miso"),)
    # The assignor of a new worker names the operator's will for everybody, so one is there first.
    group.join(0)
    group.join(1, reads=events)
    group.join(2, reads=events)
    group.join(3)
    group.leave(1)
    group.leave(2)
    group.check()


def test_a_member_that_reads_other_topics_is_another_one(tmp_path: Path) -> None:
    """A broker hands a static member that comes back what it had before."""
    group = Group(tmp_path)
    group.join(0)
    options = group.members["m0"].options
    assert options.instance_id.startswith("streams-miso-")
    assert options.instance_id.split("-")[-2:-1] == ["0"]
    assert len(options.instance_id.split("-")[-1]) == 8


def test_workers_of_two_hosts_are_two_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one identity they would fence each other: each has slot 0 in a folder of its own.

    A host that starts its worker again is the same member as before.
    """
    found = []
    for host in ("vm-a", "vm-b", "vm-a"):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        group = Group(tmp_path / host)
        group.join(0)
        found.append(group.members["m0"].options.instance_id)
    assert found[0] == found[2]
    assert found[0] != found[1]
