"""The database underneath: finding or starting a server, connections, transactions, listening, migrations.

This package is the only one that knows the driver and the server process. It knows no table's meaning: the kernel's
functions and the nouns' statements are text files that it loads, creates and calls by name.

Authoritative: the server. A `Session` holds no truth; it may lose its connection at any moment and comes back by
itself. What fails: connections (tried again, for longer than a pooler's breaker), statements (never tried again unless
the server says the transaction was rolled back for no fault of its own).

Not here: what a statement means; which lease a write needs.
"""
