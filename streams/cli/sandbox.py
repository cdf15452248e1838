"""``streams sandbox``: the vendor simulators as a server."""

from typing import Annotated

import typer


def sandbox(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")
    ] = 8090,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. Outside loopback, others can read and change the ledger."
        ),
    ] = "127.0.0.1",
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[VENDOR:]KIND[,FIELD=VALUE…]",
            help="Fault to simulate from the start; repeatable.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the simulated faults.")] = 0,
    max_body_bytes: Annotated[
        int, typer.Option(min=1, help="Maximum request size; larger requests get 413.")
    ] = 16 * 1024 * 1024,
) -> None:
    """Run the vendor simulators as a server until it is stopped.

    They refuse what the vendors refuse, and keep a ledger of what they stored:
    GET /ledger (?ids=1, ?records=1, ?payloads=1, ?since=N), DELETE /ledger.

    Any API key is accepted, except keys that start with sandbox-invalid (all
    vendors), sandbox-forbidden (Voyado), sandbox-publishable or
    sandbox-playground (Miso): these get the vendor's error response.

    Voyado's simulator knows every contact, except custom keys that start with
    sandbox-unknown (404) or sandbox-twice (409).

    Set faults with --fault or POST /faults; clear them with DELETE /faults.
    Kinds: down, slow (seconds=), a status such as 429 or 503 (retry_after=,
    retry_after_form=date, stored=true), html, redirect, hang,
    drop_before_store, store_then_drop, refuse, refuse_unreadable (names no
    record), errors_true (status 200 with "errors": true). The last three take
    skus=A|B, the products that are refused. Options of all kinds: times=
    (requests with the fault), after= (requests before it), rate= (share of
    requests, up to 1), method=, path= and body= (text in the request).

    Example: --fault miso:429,retry_after=2,times=5
    """
    import asyncio

    asyncio.run(_serve(host, port, fault or [], seed, max_body_bytes))


async def _serve(host: str, port: int, faults: list[str], seed: int, max_body_bytes: int) -> None:
    import asyncio
    import signal

    from streams.lab.sandbox import Sandbox

    server = Sandbox(host, port, faults, seed=seed, max_body_bytes=max_body_bytes)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await server.start()
    names = ", ".join(simulator.name for simulator in server.simulators.values())
    typer.echo(f"The simulators for {names} listen on {server.url}.")
    typer.echo("To send events to them, run these lines in the terminal of the workers:")
    for line in server.example_environment():
        typer.echo(f"  export {line}")
    typer.echo(f"What they stored: {server.url}/ledger   Faults: {server.url}/faults")
    await stopped.wait()
    await server.stop()
    for key, ledger in server.ledgers.items():
        endings = ", ".join(f"{word}: {n}" for word, n in sorted(ledger.answers.items()))
        typer.echo(
            f"{server.simulators[key].name}: {len(ledger)} records stored, "
            f"{ledger.requests} requests ({endings or 'none'})"
        )
