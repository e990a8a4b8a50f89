"""Stores: where a collection's chunks and vectors are kept and searched.

`pg` keeps them in the same database, in the very transaction in which the store step ends: exactly once. With pgvector
the database compares vectors; without it they are real[] and compared one by one, which is exact and slow, and said so.

Invariant: a `collection_document` row says how many chunks a document has; the proof counts them again.
Not here: how text became chunks and vectors; which documents a source wants stored.
"""
