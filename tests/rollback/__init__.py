"""An earlier release and this one on the same store, in turn: a rollback needs no migration back.

`python -m tests.rollback COMMIT` checks the commit out, lets it trade, then this release, then the commit
again, then this release again, on SQLite and on PostgreSQL. Each turn must find what the other release left:
it cancels that release's working order and sells what that release bought, and reads every order with its
events. This release leaves what the earlier one does not know: GTC orders, an account of currency pairs, a
close that ends as dust, a converted position, acknowledgements, and a cancelled trade. `algosat store verify`
of both must be clean after each turn.
"""
