"""Artifacts: results of steps, kept under their recipes, so that nobody computes them twice.

The database says which results there are and where each lies: within its own row, or under a key in a store outside (a
folder, an S3-compatible server). A result is there when its row has committed, together with the end of the step that
made it: never before, never by half. An object outside is written first; when its writer dies before the row commits it
stays as a stray, which was noted before it was written and is collected by its exact key. Content is compressed and has
a checksum, and what is read with another one counts as not there: it is made again.

What lies where is written per row, so changing the setting changes only where new results go.

Not here: what a recipe means and which results are still needed (`documents`), who may compute one (kernel claims).
"""
