"""`config show` prints addresses, and no secret that stands in one, misspelt or not."""

from __future__ import annotations

import pytest

from leasehold.cli.config_command import address


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, ""),
        ("postgresql://me:hush@db:5432/kb?sslmode=require", "postgresql://me:***@db:5432/kb?sslmode=require"),
        ("host=db port=5432 password=hush user=me", "host=db port=5432 password=*** user=me"),
        ("host=db pasword=hush", "host=db pasword=***"),
        ("host=db passwort = 'h u s h' user=me", "host=db passwort = *** user=me"),
        ("postgresql://db/kb?user=me&pass=hush", "postgresql://db/kb?user=me&pass=***"),
    ],
)
def test_no_secret_of_an_address_is_shown(given, shown):
    assert address(given) == shown
