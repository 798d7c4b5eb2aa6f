"""The database: one file a noun, each with functions that take a connection and return frozen records.

It is the only room that knows SQL. It decides nothing: rules live in the domain packages, the order of steps in the workflows.
What it does promise is that a write is one transaction, that amounts and instants come back exactly as they went in, that the
ledger is append-only, and that both databases (SQLite and PostgreSQL) behave the same.
"""
