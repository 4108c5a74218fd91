"""The machine below: what it reads, and what that advises."""
