"""Claims over anyone's table: any SQL client shares the rows of its own table among workers, without our schema.

One script makes a claim table and its functions beside the user's table: `script` renders it, `registry` finds what
it has made in a database, `report` reads and changes it for people. Workers call the functions, by SQL or as
`/rpc/NAME` over HTTP; none of them needs this package.

Authoritative: the claim table, by the database's clock. A claim is held until it is released or reaped; an expired one
that nobody has reaped is still held. Every claiming call reaps first, so no other process is needed.

Invariant: a row has at most one open claim for each kind of work; its token rises with every claim and is never used
again. A result counts as made from the content that the worker was given, so an edit opens the row again.

Failure: a dead worker's rows come back when its TTL is over. A row that kills its workers ends `failed` after
`attempts_max` claims. Names of tables and columns are anybody's: they are quoted here and nowhere else.

Not here: leases of steps (`kernel`), and the claims that recipes are computed under (`kernel.claims`).
"""
