"""Steps: the plain functions between a file's bytes and what a search can find.

The order is: `detection.detect` names the media type, `reading.read` turns bytes into blocks with their lines and
headings, `chunking.chunk` packs blocks into pieces of a bounded size, an embedder (`embedders`) gives each piece a
vector. Each function takes values and returns values, so each can run in a child process, be cached under a recipe
and be tested without a database.

Invariants: text that leaves this package is valid for PostgreSQL (no NUL, no surrogate); a line number is 1-based and
counts newlines of the original file; the same bytes and parameters give the same result on every machine, but for a
model's vectors, which are the model's. Work and
memory are linear in the size of the input, whatever the input is.

What can fail: a reader raises `StepError` for a file that is damaged. A file without text is no failure: `Parsed` has
no blocks then, and the caller skips it.

Not here: files, the database, the kernel, retries, caching; `remote_embedding` alone talks to a network. Heavy
libraries are imported by the functions that need them, because every command imports this package and few of them read
a document.
"""
