"""Posting: a hook whose call is an address. The event goes there as JSON; any answer of 200 to 299 is a success.

The key goes along as the header `Idempotency-Key`. With LEASEHOLD_HOOK_SECRET in the worker's environment the body is
signed, so that whoever is called can tell who calls: `Leasehold-Signature: sha256=…`, the HMAC of the body in hex.
Redirects are not followed: the event goes to the address that was given, and nowhere else.

By the standard library alone: the process is the call's own, and killed when its time is up.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import urllib.error
import urllib.request
from typing import Any

from leasehold.types import Done, ErrorClass, HookCall, Outcome, StepError
from leasehold.version import VERSION

SECRET = "LEASEHOLD_HOOK_SECRET"
DETAIL_CHARS = 300
RETRY_AFTER_MAX_S = 3600.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def body_of(call: HookCall) -> bytes:
    """What is posted: hook, key, attempt, event, item."""
    event = {name: getattr(call.event, name) for name in call.event.__slots__}
    body = {
        "hook": call.hook, "key": call.key, "attempt": call.attempt,
        "event": event | {"at": call.event.at.isoformat()}, "item": call.item,
    }  # fmt: skip
    return json.dumps(body).encode()


def post(call: HookCall, address: str, timeout_s: float) -> Outcome:
    """Post the event; an error is tried again, after `Retry-After` where the answer says so."""
    body = body_of(call)
    headers = {
        "Content-Type": "application/json", "Idempotency-Key": call.key, "User-Agent": f"leasehold/{VERSION}",
    }  # fmt: skip
    if secret := os.environ.get(SECRET):
        headers["Leasehold-Signature"] = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
    request = urllib.request.Request(address, data=body, headers=headers, method="POST")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout_s) as answer:
            return Done(f"{answer.status} {answer.reason}")
    except urllib.error.HTTPError as error:
        detail = error.read(DETAIL_CHARS).decode("utf-8", "replace")
        return StepError(f"HTTP {error.code}", detail, error_class=ErrorClass.TRANSIENT,
                         retry_after_s=_retry_after_s(error.headers.get("Retry-After")))  # fmt: skip
    except OSError as error:
        return StepError("not reached", str(getattr(error, "reason", error)), error_class=ErrorClass.TRANSIENT)


def _retry_after_s(value: str | None) -> float | None:
    """Seconds only; a date is left to the hook's own backoff."""
    return min(float(value), RETRY_AFTER_MAX_S) if value and value.isascii() and value.isdigit() else None
