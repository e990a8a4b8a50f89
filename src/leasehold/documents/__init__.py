"""Documents: the workflow validate -> parse -> chunk -> embed -> store, and everything around it.

Wires the nouns: what a source lists (`sync`), the plain functions of the steps (`kinds`), recipes that say when a
result may be reused (`recipes`), the store, the proof, search, and the ingest that runs it all.

Invariants: an item is stored when its document's chunks are in the collection under the item's recipe, and both became
so in one transaction. Old chunks go when the new ones are in, never before. Two runs never compute one recipe at once.

What can fail: files (each becomes a verdict with a reason), workers (their steps come back), the process (the next
ingest goes on). Not here: processes and heartbeats (`worker`), the terminal (`cli`).
"""
