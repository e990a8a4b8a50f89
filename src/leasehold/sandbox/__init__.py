"""Sandbox: calls of a plain function in child processes that may crash, hang and grow without harm to the caller.

    caller's process ──control──> fork server ──forks──> child, child, …
          └───────────────── one socket to each child ───────┘

The fork server (`server`) is a small interpreter of its own with the function's modules loaded; it has no threads, no
database and no sockets but its own, so a fork of it is clean, and costs milliseconds. A child (`child`) puts up its
fences (`fences`), then answers calls one after the other. `Sandbox` (`calling`) keeps children for the next call, ends
those that served long enough, and says of each call how it ended.

Authoritative: the operating system's word about a child's end, asked for by its parent, the fork server. A child's own
word is an answer or nothing: answers are bytes and JSON, never objects that could run code here.

Invariants: a child's death costs its own call and no other. A child that has served others is not believed guilty by
one death: the call is made once more in a new one. Nobody outlives the caller: the fork server ends with its control
socket, children with the fork server.

What can fail: the fork server itself; then a new one is started. Not here: what the function does, what a death means
for a document (`documents`).
"""
