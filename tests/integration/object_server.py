"""An S3-compatible server on this machine (moto), with a bad network before it when wanted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from leasehold.testing.proxy import Proxy

KEY, SECRET = "AKIATESTTESTTEST", "aSecret/That+MustNot/BeShown0123456789"
BUCKET = "artifacts"


class ObjectServer:
    """A server with one bucket. `endpoint` goes through `network`."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.direct = f"http://{host}:{port}"
        self.network = Proxy(f"host={host} port={port}", postgres=False)
        self.client: Any = boto3.client(
            "s3", endpoint_url=self.direct, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET
        )
        self.client.create_bucket(Bucket=BUCKET)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.network.port}"

    def keys(self, prefix: str = "") -> set[str]:
        """Keys of the bucket below *prefix*, marks left out."""
        found = [
            one["Key"]
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
            for one in page.get("Contents", ())
        ]
        return {key for key in found if "leasehold-" not in key}

    def stop(self) -> None:
        self.network.close()
        self._server.stop()


@pytest.fixture(scope="module")
def the_object_server() -> Iterator[ObjectServer]:
    made = ObjectServer()
    yield made
    made.stop()


@pytest.fixture
def objects(the_object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """The server, well; our keys are in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    yield the_object_server
    the_object_server.network.heal()
