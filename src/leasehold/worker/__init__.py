"""Workers: processes that claim steps, run them, and record how they ended; and keepers, which keep them alive.

A keeper (`keeper`) is a small parent that runs no user code: it heartbeats for its children, watches their deadlines,
gives back what a dead child held, and reaps for everybody. A child (`child`) is one `Worker`: an event loop that claims
pages of steps by the lane policy (`policy`) and hands them to consumers. A `Worker` in somebody's own program keeps
itself alive by a thread (`beats`), with the limits that has: one C call that holds the interpreter for longer than the
lease's time to live stops the thread too, and the steps are taken back.

Authoritative: the database. Everything here may be stale, killed or stopped at any moment; every write names its token.

Not here: what a step does, HTTP, terminals.
"""
