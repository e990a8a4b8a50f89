"""The drill: a workflow for the lab with all that workflows have: a fork and a join, a branch that fails for some
items, errors that pass, checkpoints, an artifact, and two hooks. Five steps:

    read -> left, right -> join -> send

What each step gives is a hash over what its parents gave, so a slip anywhere shows in the last one. Its hooks write one
row each, under the key of their call, which a second call finds there.
"""

from __future__ import annotations

import hashlib
import os
import time

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.kernel.hooks import Hook
from leasehold.types import Done, ErrorClass, HookCall, StepError
from leasehold.workflows.context import AsyncContext, Context
from leasehold.workflows.declaring import Flow, step, workflow

PACKAGE = "leasehold.chaos"
NAME = "drill"
NAP_S = 0.004
PARTS = 4


def mixed(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@step(timeout_s=30)
def read(context: Context[None]) -> Done:
    time.sleep(NAP_S)
    context.save_artifact("text", mixed("text", context.item["n"]).encode())
    return Done(mixed("read", context.item["n"]))


@step(timeout_s=30)
async def left(context: AsyncContext[None]) -> str:
    n = context.item["n"]
    if n % 7 == 3:
        raise StepError("meant to fail", "the plan says so", error_class=ErrorClass.PERMANENT)
    if n % 5 == 2 and context.attempt == 1:
        raise StepError("meant to be tried again", error_class=ErrorClass.TRANSIENT)
    text = await context.artifact("text", step="read")
    return mixed("left", context.parent, text)


@step(timeout_s=30)
def right(context: Context[None]) -> str:
    """In parts, each saved: an attempt goes on where the one before was killed."""
    parts: list[str] = context.load([])
    for number in range(len(parts), PARTS):
        context.check()
        time.sleep(NAP_S)
        parts.append(mixed("right", context.parent, number))
        context.save(parts)
        context.progress(number + 1, PARTS)
    return mixed(*parts)


@step(timeout_s=30)
def join(context: Context[None]) -> str:
    return mixed(context.parents["left"], context.parents["right"])


@step(timeout_s=30)
def send(context: Context[None]) -> str:
    time.sleep(NAP_S)
    return mixed("send", context.parent)


def noted(call: HookCall) -> None:
    """Keep one row under the call's key; whoever comes again under it finds it there."""
    said = None if call.item is None else call.item["n"]
    with Session(Target(url=os.environ["LEASEHOLD_DATABASE_URL"]), application_name="leasehold hook") as session:
        session.fetch(
            load(PACKAGE, "hook_effect_write"), (call.key, call.hook, call.event.name, call.event.label, said)
        )


@workflow(
    NAME,
    name="A drill of the fault lab",
    hooks=[
        Hook(name="ended", on=("run_end", "run_failed"), call="leasehold.chaos.drill:noted",
             attempts_max=1000, backoff_s=0.05, backoff_max_s=0.5),
        Hook(name="complete", on=("group_end",), call="leasehold.chaos.drill:noted",
             attempts_max=1000, backoff_s=0.05, backoff_max_s=0.5),
    ],
)  # fmt: skip
def drill(flow: Flow) -> None:
    first = flow.step(read)
    flow.step(join, after=[flow.step(left, after=first), flow.step(right, after=first)])
    flow.step(send)
