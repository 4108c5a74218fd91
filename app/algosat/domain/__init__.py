"""The trading domain: plain frozen values and pure functions; no Flask, no SQL, no clock, no network."""
