"""`algosat conversion`: list, cancel and settle conversions of positions on the server, without the API."""

from __future__ import annotations

import click

from algosat.cli.base import Chosen, operator, with_account, with_directory

_MOST = 1000


@click.group()
def command() -> None:
    """Convert positions to another product; list, cancel and settle conversions."""


@command.command(name="list")
@click.option("--all", "finished_too", is_flag=True, help="Finished conversions also.")
@with_account
@with_directory
@click.pass_obj
def list_conversions(chosen: Chosen, finished_too: bool, account: str | None) -> None:
    """Print conversions under way, newest first: id, time, quantity, symbol, strategy, products, state."""
    from algosat.trading import conversion_records

    with chosen.desk(account) as desk, desk.database.read() as connection:
        found, _ = conversion_records.page(
            connection, desk.account, limit=_MOST, cursor=None, is_finished=None if finished_too else False
        )
    for each in found:
        what = (f"{each.quantity:f}", each.symbol, each.strategy or "-", f"{each.source} to {each.target}")
        click.echo(
            "\t".join((each.id, f"{each.created_at:%Y-%m-%dT%H:%M:%SZ}", *what, each.state, each.detail))
        )


@command.command()
@click.argument("symbol")
@click.argument("to_product", type=click.Choice(["delivery", "intraday", "carry"]))
@click.option(
    "--product",
    type=click.Choice(["delivery", "intraday", "carry"]),
    help="Product of the position; needed only if the symbol is held under several.",
)
@click.option("--strategy", default="", help="Strategy that holds it; without one, manual orders.")
@click.option("--quantity", help="Quantity to convert; without it, the whole position.")
@with_account
@with_directory
@click.pass_obj
def request(
    chosen: Chosen,
    symbol: str,
    to_product: str,
    product: str | None,
    strategy: str,
    quantity: str | None,
    account: str | None,
) -> None:
    """Convert the position in SYMBOL to TO_PRODUCT. `algosat conversion list --all` shows the outcome."""
    from decimal import Decimal, InvalidOperation

    from algosat.domain.orders import Product
    from algosat.trading.conversions import ConversionRequest, request_conversion

    try:
        amount = None if quantity is None else Decimal(quantity)
    except InvalidOperation:
        raise click.BadParameter(f"{quantity!r} is no decimal number", param_hint="--quantity") from None
    source = None if product is None else Product(product)
    wanted = ConversionRequest(symbol, Product(to_product), strategy, source, amount)
    with chosen.desk(account) as desk:
        requested = request_conversion(desk, wanted, operator())
    click.echo(f"requested ({requested.record.id})")


@command.command()
@click.argument("conversion_id", metavar="ID")
@with_directory
@click.pass_obj
def cancel(chosen: Chosen, conversion_id: str) -> None:
    """Cancel the conversion ID, which was not sent yet."""
    from algosat.trading import conversion_records, conversions

    with chosen.desks() as desks:
        with desks.first.database.read() as connection:
            desk = desks.of(conversion_records.get(connection, conversion_id).account)
        conversions.cancel_conversion(desk, conversion_id, operator())
    click.echo("cancelled")


@command.command()
@click.argument("conversion_id", metavar="ID")
@click.option(
    "--converted/--not-converted", required=True, default=None, help="What the broker's terminal shows."
)
@with_directory
@click.pass_obj
def settle(chosen: Chosen, conversion_id: str, converted: bool) -> None:
    """Settle the conversion ID, whose outcome the broker's positions do not show."""
    from algosat.trading import conversion_records, conversions

    with chosen.desks() as desks:
        with desks.first.database.read() as connection:
            desk = desks.of(conversion_records.get(connection, conversion_id).account)
        record = conversions.settle_conversion(desk, conversion_id, operator(), converted=converted)
    click.echo(record.state)
