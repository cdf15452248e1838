"""``streams reasons``: the closed list of words for what was not accepted."""

import typer

from streams.cli.terminal import JsonFlag, print_json


def reasons(as_json: JsonFlag = False) -> None:
    """List the reasons why an event is skipped or becomes a dead letter.

    Skip reasons are listed in the order in which they are checked; the first that applies counts.
    """
    from streams.core.outcome import DEAD_LETTER_MEANING, SKIP_MEANING, Outcome

    rows = [(str(reason), Outcome.SKIPPED, words) for reason, words in SKIP_MEANING.items()]
    rows += [
        (str(reason), Outcome.DEAD_LETTERED, words) for reason, words in DEAD_LETTER_MEANING.items()
    ]
    if as_json:
        names = ("reason", "outcome", "meaning")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    for reason, outcome, words in rows:
        typer.echo(f"{reason:<16}  {outcome:<13}  {words}")
