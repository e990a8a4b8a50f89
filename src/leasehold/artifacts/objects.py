"""An S3-compatible server as artifact store, through obstore.

An object is put in one request, however large it is: such a put is whole or did not happen, so there are no parts to
clean up. A larger object gets a longer time instead. Failed requests are repeated a few times within the same limit;
what fails after that is the caller's to wait out, uncharged.

Keys are taken from the environment (AWS_ACCESS_KEY_ID …) or the machine's role by obstore itself. They are never handed
through us, and what an error says is shortened to what a person needs, with their values struck out.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from functools import lru_cache
from typing import Any, NoReturn

import obstore
import obstore.exceptions
from obstore.store import S3Store

from leasehold.artifacts.stores import Address, checked
from leasehold.errors import ArtifactStoreAway, ArtifactStoreFull

LARGE_BYTES = 4_000_000
SLOWEST_BYTES_PER_S = 500_000
"""A large object may take as long as this pace needs, on top of the limit of a small one."""
RETRIES = 3
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI")  # fmt: skip
"""Without any of these the client would ask Amazon's machines for a role, also for a server that is not Amazon's."""
FAILS = (obstore.exceptions.BaseError, OSError)
SAID_MAX = 240
REGION = "us-east-1"


class ObjectStore:
    def __init__(self, address: Address, *, timeout_s: float) -> None:
        self._address = address
        bucket, _, prefix = address.url.removeprefix("s3://").rstrip("/").partition("/")
        self._bucket, self._prefix, self._timeout_s = bucket, prefix, timeout_s
        self._client = lru_cache(maxsize=16)(self._open)

    def put(self, key: str, data: bytes) -> None:
        client = self._client(self._limit_s(len(data)))
        try:
            obstore.put(client, checked(key), data, use_multipart=False)
        except FAILS as error:
            self._refuse("put", error)

    def get(self, key: str, size: int) -> bytes | None:
        client = self._client(self._limit_s(size))
        try:
            found = obstore.get(client, checked(key))
            if found.meta["size"] > size:
                return bytes(obstore.get_range(client, key, start=0, length=size + 1))
            return bytes(found.bytes())
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                self._refuse("get", error)
            return None
        except FAILS as error:
            self._refuse("get", error)

    def delete(self, key: str) -> None:
        client = self._client(self._timeout_s)
        try:
            obstore.delete(client, checked(key))
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                self._refuse("delete", error)
        except FAILS as error:
            self._refuse("delete", error)

    def room_bytes(self) -> int | None:
        return None

    def _limit_s(self, size: int) -> float:
        """In steps of LARGE_BYTES, so that a few clients with their connections serve all sizes."""
        return self._timeout_s + size // LARGE_BYTES * LARGE_BYTES / SLOWEST_BYTES_PER_S

    def _open(self, limit_s: float) -> S3Store:
        if self._address.endpoint and not any(os.environ.get(name) for name in KEYS):
            raise ArtifactStoreAway(
                f"The environment has no keys for the artifact store {self._address}.",
                remedy="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            )
        config: Any = {"region": self._address.region or REGION}
        if self._address.endpoint:
            config["endpoint"] = self._address.endpoint
        limit = timedelta(seconds=limit_s)
        return S3Store(
            self._bucket,
            prefix=self._prefix or None,
            config=config,
            client_options={
                "timeout": limit,
                "connect_timeout": timedelta(seconds=min(5.0, limit_s)),
                "allow_http": self._address.endpoint.startswith("http://"),
            },
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": limit,
                "backoff": {
                    "init_backoff": timedelta(seconds=0.1),
                    "max_backoff": timedelta(seconds=2),
                    "base": 2,
                },
            },
        )

    def _refuse(self, verb: str, error: Exception) -> NoReturn:
        said = describe(str(error))
        if "507" in said or "XMinioStorageFull" in said or "QuotaExceeded" in said:
            raise ArtifactStoreFull(f"The artifact store {self._address} has no room left: {said}") from None
        raise ArtifactStoreAway(
            f"The artifact store {self._address} did not {verb} an object: {said}", remedy=_remedy(said)
        ) from None  # the cause's text may hold more than should be shown


def describe(text: str) -> str:
    """What an error of obstore says, in a line: no debugging print, no query of an address, no key."""
    text = text.partition("\n\nDebug source")[0]
    code = re.search(r"<Code>(\w+)</Code>", text)
    text = re.sub(r"\?[^\s]*", "", text.partition("<")[0] if code else text)
    text = " ".join(text.split()).rstrip(": ")
    for name in SECRETS:
        if value := os.environ.get(name):
            text = text.replace(value, "***")
    return f"{text[-SAID_MAX:]}{f' ({code[1]})' if code else ''}"


def _remedy(said: str) -> str | None:
    if "NoSuchBucket" in said:
        return "Make the bucket, or correct artifacts.url."
    if any(word in said for word in ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403", "401")):
        return "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or the role), and that they may get, put and delete."
    return None
