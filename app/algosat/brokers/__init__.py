"""Brokers, each behind the protocol in `base`. Only the engine calls them."""
