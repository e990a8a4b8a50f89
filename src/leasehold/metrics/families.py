"""Families: every metric by name, with its form, its labels, and what it says. The reference page is this table."""

from __future__ import annotations

from dataclasses import dataclass

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. A counter's name ends in `_total`; a histogram has `_bucket`, `_sum` and `_count`."""

    name: str
    form: str
    labels: tuple[str, ...]
    help: str


CLAIMS = Family(
    "leasehold_claims_total",
    COUNTER,
    ("result",),
    "Claims by result: tried (sent), won, lost (others had taken it); and idle: looks that found nothing to claim.",
)
CLAIM_SECONDS = Family(
    "leasehold_claim_seconds",
    HISTOGRAM,
    (),
    "How long the database took to answer a claim.",
)
LANES_FULL = Family(
    "leasehold_lanes_full_total",
    COUNTER,
    (),
    "Lanes that a look passed over because a lock or limit they stand behind had no free seat.",
)
LEASED = Family(
    "leasehold_steps_leased_total",
    COUNTER,
    ("kind",),
    "Steps that were leased to this worker.",
)
STEPS = Family(
    "leasehold_steps_total",
    COUNTER,
    ("kind", "outcome"),
    "Steps that left this worker, by outcome: succeeded, failed, retried (an error with attempts left), "
    "skipped, snoozed, released (given back), lost (the late word was refused).",
)
TIMED_OUT = Family(
    "leasehold_steps_timed_out_total",
    COUNTER,
    ("kind",),
    "Of the failed and retried steps, those that their worker interrupted because their time was up.",
)
STEP_SECONDS = Family(
    "leasehold_step_seconds",
    HISTOGRAM,
    ("kind",),
    "How long steps were at work, however they ended.",
)
PROCESSES = Family(
    "leasehold_processes",
    GAUGE,
    (),
    "Worker processes under this keeper.",
)
PROCESS_ENDS = Family(
    "leasehold_process_ends_total",
    COUNTER,
    ("how",),
    "Worker processes that ended: ended (asked to, or drained), died, timeout (ended for a step that "
    "hung), stood_down (no database).",
)
GIVEN_BACK = Family(
    "leasehold_steps_given_back_total",
    COUNTER,
    ("how",),
    "Steps taken from dead processes and given back uncharged, by how those died: died, timeout, reaped; "
    "and deadline: from living ones.",
)
CHARGED = Family(
    "leasehold_steps_charged_total",
    COUNTER,
    ("how",),
    "Steps that were charged an attempt for the death of their process: died, timeout, reaped.",
)
REAPED = Family(
    "leasehold_holders_reaped_total",
    COUNTER,
    (),
    "Holders that this worker ended because they were not heard any more.",
)

UP = Family(
    "leasehold_queue_up",
    GAUGE,
    (),
    "1 while the rows could be read within their time; else 0, and the other queue metrics are missing.",
)
READ_SECONDS = Family(
    "leasehold_queue_read_seconds",
    GAUGE,
    (),
    "How long the last reading of the rows took.",
)
QUEUE_STEPS = Family(
    "leasehold_queue_steps",
    GAUGE,
    ("kind", "state"),
    "Steps of open groups: ready, blocked (ready, and held back by a pause, a breaker or a full resource), "
    "delayed, leased, dead (held by a holder that is not heard any more).",
)
QUEUE_LANES = Family(
    "leasehold_queue_lanes",
    GAUGE,
    ("kind", "state"),
    "Lanes, one for each group and kind, that have something ready or blocked.",
)
LONGEST_LANE = Family(
    "leasehold_queue_longest_lane_steps",
    GAUGE,
    ("kind", "state"),
    "Ready or blocked steps in the longest of these lanes.",
)
OLDEST_READY = Family(
    "leasehold_queue_oldest_ready_seconds",
    GAUGE,
    ("kind",),
    "For how long the oldest ready step has waited that nothing holds back; 0 when there is none.",
)
OLDEST_LEASED = Family(
    "leasehold_queue_oldest_lease_seconds",
    GAUGE,
    ("kind",),
    "For how long the oldest lease of a living worker has lasted.",
)
SLOW = Family(
    "leasehold_queue_slow_steps",
    GAUGE,
    ("kind",),
    "Leased steps whose lease has used up more than half of its time.",
)
RUNS = Family(
    "leasehold_queue_runs",
    GAUGE,
    ("state",),
    "Runs of all groups: open, succeeded, failed, cancelled.",
)
GROUPS = Family(
    "leasehold_queue_open_groups",
    GAUGE,
    (),
    "Groups that are not complete.",
)
REFUSED = Family(
    "leasehold_queue_refused_steps",
    GAUGE,
    ("verb",),
    "Steps whose late write was refused since the database was made, by verb.",
)
HOLDERS = Family(
    "leasehold_queue_holders",
    GAUGE,
    ("state",),
    "Holders: living, late (about to be reaped), left, reaped.",
)
SEATS = Family(
    "leasehold_queue_seats",
    GAUGE,
    ("state",),
    "Seats of all locks and limits: free, taken.",
)
SEAT_LINE = Family(
    "leasehold_queue_seat_line",
    GAUGE,
    (),
    "Programs that wait in a line for a seat.",
)
BREAKERS = Family(
    "leasehold_queue_open_breakers",
    GAUGE,
    (),
    "Breakers that are open.",
)

WORKER = (
    CLAIMS,
    CLAIM_SECONDS,
    LANES_FULL,
    LEASED,
    STEPS,
    TIMED_OUT,
    STEP_SECONDS,
    PROCESSES,
    PROCESS_ENDS,
    GIVEN_BACK,
    CHARGED,
    REAPED,
)
"""What one worker did: add them up over workers."""
QUEUE = (
    UP,
    READ_SECONDS,
    QUEUE_STEPS,
    QUEUE_LANES,
    LONGEST_LANE,
    OLDEST_READY,
    OLDEST_LEASED,
    SLOW,
    RUNS,
    GROUPS,
    REFUSED,
    HOLDERS,
    SEATS,
    SEAT_LINE,
    BREAKERS,
)
"""How the queue stands: the same from every worker."""
