"""What is said when more comes in than a quota lets out."""

from streams.delivery.congestion import WINDOW, Flow


def flow(out: float, come: float, waiting: int) -> Flow:
    """Ten seconds of steady traffic that end with so many events waiting."""
    made = Flow()
    for second in range(WINDOW):
        behind = round((come - out) * (WINDOW - 1 - second))
        made.sample(float(second), round(out * second), waiting - behind)
    return made


def test_more_than_the_quota_is_said_with_the_figures() -> None:
    """The person on call sees that it will not drain by itself, and why."""
    assert flow(out=38, come=60, waiting=8204).sentence(39) == (
        "8,204 events wait: 60 a second come in, 38 are settled, and the quota lets 39 requests a "
        "second out; never drained at this rate."
    )


def test_a_backlog_that_shrinks_says_how_long_it_takes() -> None:
    """In minutes, then in hours."""
    assert (
        flow(out=38, come=8, waiting=5400).sentence(39).endswith("; drained in 3 min at this rate.")
    )
    assert (
        flow(out=38, come=37, waiting=36_000)
        .sentence(39)
        .endswith("; drained in 10 h at this rate.")
    )


def test_a_minute_of_work_is_not_worth_a_word() -> None:
    """Nor is anything before there is a window to look at."""
    assert flow(out=38, come=60, waiting=2340).sentence(39) == ""
    assert Flow().sentence(39) == ""
