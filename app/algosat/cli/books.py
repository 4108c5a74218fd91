"""`algosat book`: differences between the books and the broker's, comparisons and adjustments."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import click

from algosat.cli.base import Chosen, operator, with_account, with_directory

_MOST = 1000


class _Amount(click.ParamType[Decimal]):
    """A decimal number, negative ones included."""

    name = "amount"

    def convert(
        self, value: str | Decimal, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        try:
            return Decimal(value)
        except InvalidOperation:
            self.fail(f"{value!r} is no decimal number", param, ctx)


@click.group()
def command() -> None:
    """Compare the books with the broker's, and adjust them."""


@command.command(name="differences")
@with_account
@click.option("--all", "settled_too", is_flag=True, help="Settled differences also.")
@with_directory
@click.pass_obj
def list_differences(chosen: Chosen, account: str | None, settled_too: bool) -> None:
    """Print the last comparison, with its time and what is compared, then each difference.

    A difference has the columns since, kind, symbol, product, order, ours and theirs.
    """
    from algosat.domain.book_comparison import kinds_compared
    from algosat.store import queries
    from algosat.trading import book_differences

    with chosen.desk(account) as desk, desk.database.read() as connection:
        state = book_differences.read_state(connection, desk.account)
        wanted = None if settled_too else True
        found = queries.differences_page(connection, desk.account, limit=_MOST, is_open=wanted)
    when = f"{state.compared_at:%Y-%m-%dT%H:%M:%SZ}" if state.compared_at else "never"
    kinds = () if desk.capabilities is None else sorted(kinds_compared(desk.capabilities))
    click.echo(
        "\t".join((state.outcome or "not compared", when, state.detail or "-", ",".join(kinds) or "-"))
    )
    for row in found.rows:
        names = (row.kind, row.symbol, row.product or "-", row.order_id or "-")
        settled = f"settled {row.settled_at:%Y-%m-%dT%H:%M:%SZ}" if row.settled_at else "open"
        figures = (format(row.ours, "f"), format(row.theirs, "f"), settled)
        click.echo("\t".join((f"{row.since:%Y-%m-%dT%H:%M:%SZ}", *names, *figures)))


@command.command()
@with_account
@with_directory
@click.pass_obj
def compare(chosen: Chosen, account: str | None) -> None:
    """Ask the engine to compare the books now. `algosat book differences` shows the outcome."""
    from algosat.trading import book_differences

    with chosen.desk(account) as desk:
        desk.writer.run(lambda connection: book_differences.request(connection, desk, operator()))
    click.echo("requested")


@command.command()
@with_account
@click.option("--symbol", help="Instrument of the position.")
@click.option(
    "--product", type=click.Choice(["delivery", "intraday", "carry"]), help="Product of the position."
)
@click.option("--strategy", default="", help="Strategy that holds it; without one, manual orders.")
@click.option("--quantity", type=_Amount(), default="0", help="To add to the position; negative: to deduct.")
@click.option("--price", type=_Amount(), help="Price of the quantity; 0 for shares that cost nothing.")
@click.option("--cash", type=_Amount(), default="0", help="To add to the cash; negative: to deduct.")
@click.option("--reason", required=True, help="Reason, for the audit trail.")
@with_directory
@click.pass_obj
def adjust(
    chosen: Chosen,
    account: str | None,
    symbol: str | None,
    product: str | None,
    strategy: str,
    quantity: Decimal,
    price: Decimal | None,
    cash: Decimal,
    reason: str,
) -> None:
    """Adjust a position, the cash, or both. The adjustment is an event of its own in the audit trail."""
    from algosat.domain.orders import Product
    from algosat.trading.book_adjustments import Adjustment
    from algosat.trading.book_adjustments import adjust as adjust_book

    adjustment = Adjustment(
        reason=reason,
        symbol=symbol,
        product=None if product is None else Product(product),
        strategy=strategy,
        quantity=quantity,
        price=price,
        cash=cash,
    )
    with chosen.desk(account) as desk:
        adjusted = adjust_book(desk, adjustment, operator())
    click.echo(f"adjusted ({adjusted.id})")
