"""What the paper exchange has said: its book of the day, as far as it is in the store."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import date

from algosat.exchange.order_book import BookOrder


class PublishedOrders:
    """Orders by number and by tag; of orders with one tag, the first."""

    def __init__(self, orders: Iterable[BookOrder]) -> None:
        self._lock = threading.Lock()
        self._orders: dict[str, BookOrder] = {}
        self._by_tag: dict[str, str] = {}
        self._day = date.min
        self.learn(sorted(orders, key=lambda order: order.id))

    def learn(self, orders: Iterable[BookOrder]) -> None:
        with self._lock:
            for order in orders:
                self._orders[order.id] = order
                self._by_tag.setdefault(order.tag, order.id)

    def forget_before(self, day: date) -> None:
        """Drop what ended on earlier days."""
        with self._lock:
            if day == self._day:
                return
            self._day = day
            self._orders = {
                number: order for number, order in self._orders.items() if order.day >= day or order.is_live
            }
            self._by_tag = {tag: number for tag, number in self._by_tag.items() if number in self._orders}

    def order(self, order_id: str) -> BookOrder | None:
        return self._orders.get(order_id)

    def tagged(self, tag: str) -> BookOrder | None:
        with self._lock:
            order_id = self._by_tag.get(tag)
            return self._orders[order_id] if order_id is not None else None

    def orders(self) -> Sequence[BookOrder]:
        with self._lock:
            return [self._orders[number] for number in sorted(self._orders)]
