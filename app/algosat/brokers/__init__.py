"""Brokers, each behind the protocol of `base`. Only the engine speaks to them."""
