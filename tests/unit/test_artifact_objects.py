"""What an error of an S3-compatible server becomes: one line for a person, without a key in it."""

from __future__ import annotations

import pytest

from leasehold.artifacts.objects import describe

TEXT = (
    "Object at location x not found: Error performing GET https://host/b/x?X-Amz-Credential=AKIAKEY&X-Amz-Signature=a "
    "in 3ms - Server returned non-2xx status code: 403 Forbidden: <?xml version='1.0'?>\n<Error><Code>AccessDenied"
    "</Code><Message>AKIAKEY may not</Message></Error>\n\nDebug source:\nGeneric { secret: 'Secret/1+2' }"
)


def test_an_error_keeps_its_code_and_loses_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "Secret/1+2")
    said = describe(TEXT)
    assert said.endswith("403 Forbidden (AccessDenied)")
    assert not any(word in said for word in ("AKIAKEY", "Secret", "Signature", "\n", "Debug"))
    assert "Secret" not in describe("Secret/1+2 was refused")
