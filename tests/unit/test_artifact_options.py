"""Settings of artifact stores: what names none is refused, and nothing that may be a password is shown."""

from __future__ import annotations

from typing import Any

import pytest

from leasehold.artifacts.keeping import address_of
from leasehold.errors import UsageError
from leasehold.options import ArtifactOptions


@pytest.mark.parametrize(
    "given",
    [
        {"url": ""}, {"url": "/srv/artifacts"}, {"url": "file://srv/artifacts"}, {"url": "file:relative"},
        {"url": "s3:"}, {"url": "s3://"}, {"url": "s3://KEY:hidden@bucket/x"}, {"url": "s3://bucket/../x/?y"},
        {"url": "ftp://x"}, {"url": "db:x"}, {"url": "s3://bucket/x\n"},
        {"endpoint": "minio:9000"}, {"endpoint": "http://user:hidden@minio:9000"}, {"endpoint": "http://minio/?a=hidden"},
        {"zstd_level": 20}, {"inline_max_bytes": -1}, {"free_mb_min": -1}, {"timeout_s": 0.0},
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_name_no_store_are_refused_without_showing_what_may_be_a_password(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refused:
        ArtifactOptions(**given)
    if "@" in str(given):
        assert "hidden" not in str(refused.value)


def test_the_environment_says_where_the_server_is_unless_a_setting_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://from-environment:9000/")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    found = address_of(ArtifactOptions(url="s3://bucket/prefix/"))
    assert (found.url, found.endpoint, found.region) == (
        "s3://bucket/prefix", "https://from-environment:9000", "eu-central-1",
    )  # fmt: skip
    mine = address_of(ArtifactOptions(url="s3://bucket", endpoint="http://mine:1", region="x"))
    assert (mine.endpoint, mine.region) == ("http://mine:1", "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://me:hidden@there")
    with pytest.raises(UsageError) as refused:
        address_of(ArtifactOptions(url="s3://bucket"))
    assert "hidden" not in str(refused.value)


def test_one_folder_has_one_address_however_it_is_written() -> None:
    assert address_of(ArtifactOptions(url="file:///srv//a/./b/")) == address_of(ArtifactOptions(url="file:///srv/a/b"))
