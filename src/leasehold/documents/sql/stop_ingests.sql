-- Until this transaction ends no ingest begins; those under way are seen by what follows.
lock table leasehold.sync in share row exclusive mode
