"""Workflows: what people define, with which parameters it is worked, and what a step of theirs may use.

A definition is YAML or Python, found in a folder, in a module or in an installed package (`finding`), read with the
line of everything in it (`yaml_text`, `reading`), and checked as a whole (`checking`): who reads the mistakes reads all
of them. A step is a plain function of a `Context`; nobody but `calling` knows that it is leased.

Authoritative: the database, for all that was submitted. A group keeps the kernel's workflow and the parameter set that
it was opened with (`parameter_sets`), so no edit of a file changes what is queued; files and modules only say what the
next group gets, and where the functions are.

What can fail: somebody else's module, at its import; then that is one of the mistakes, with the file's name. A function
that a queued run names and this installation does not have: its step waits, and says so.

Not here: leases and how steps end (kernel), who runs a step (worker), where artifacts are kept (artifacts).
"""
