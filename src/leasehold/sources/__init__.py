"""Sources: where documents come from, and what changed there since the last look.

The source is the authority about what exists; our rows are a memory of the last look. A sync is a loop of *plan* (known
rows against a listing: pure, `plan`) and *apply* (rows and steps, in transactions), and every part of it can be done
again: an interrupted sync is a normal outcome, and the next one takes the remainder.

- `paths`    one spelling for each root and each item, whatever bytes its name has
- `patterns` which files are taken at all
- `folder`   list a folder, read one file of it
- `plan`     new, changed, renamed, deleted, to be tried again; the mass-delete valve

Invariants: every file found is an entry, an oddity with its reason, or counted as excluded. Nothing is deleted that was
not looked for in vain: where a listing could learn nothing, what is known stays. No read leaves the root.

What can fail: a single path (data: an `Oddity` or a `StepError`), the root (an `Oddity` at `plan.ROOT`), a pattern
(`UsageError`, before anything is read). None of these raises out of a running scan.

Not here: what a file's type is and what becomes of its text (`steps`), who works it when (`kernel`).
"""
