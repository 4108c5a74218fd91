"""The process that owns the broker: nobody else speaks to one.

`router` sends what the gate let through and carries out cancels and changes; `intake` books what
the broker says; `reconciler` seeks evidence where an answer is missing; `clock` does what the
day asks for. `main` puts them together and keeps them alive.
"""
