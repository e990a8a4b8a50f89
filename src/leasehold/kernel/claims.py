"""Claims: an exclusive right to an item (a recipe, a row) by its key, for one kind of work.

A claim is held under a step's token and lives exactly as long as that lease. A loser snoozes with the key as its
`wait_key`; when the winner gives the key up, the loser is woken.

The winner is a lease, not a step: the steps of one page share a token, and a key that one of them holds they all hold.
A page function therefore makes a result once and gives it to all its steps that want it. A kind whose steps run one by
one, several at once, and which must not make a result twice, has `page_max=1`.
"""

from __future__ import annotations

from collections.abc import Sequence

from leasehold.db.session import Connection, execute
from leasehold.db.statements import load

PACKAGE = "leasehold.kernel"


def take(connection: Connection, work: str, wanted: Sequence[tuple[bytes, int]]) -> list[bool]:
    """Claim (key, token) pairs; for each whether that token holds that key now. Of two tokens for one key one wins."""
    if not wanted:
        return []
    keys, tokens = [key for key, _ in wanted], [token for _, token in wanted]
    return list(execute(connection, load(PACKAGE, "call_claim_items"), (work, keys, tokens))[0][0])


def give_back(connection: Connection, work: str, held: Sequence[tuple[bytes, int]]) -> int:
    """Give (key, token) claims up and wake who waits for the keys; how many steps were woken."""
    if not held:
        return 0
    keys, tokens = [key for key, _ in held], [token for _, token in held]
    return int(execute(connection, load(PACKAGE, "call_release_items"), (work, keys, tokens))[0][0])
