"""Generated pages are those that the code makes now."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "tools/generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("path", "text"), generator().pages().items(), ids=lambda value: str(value)[:40])
def test_a_generated_page_is_what_the_code_says_now(path: Path, text: str):
    written = (ROOT / path).read_text("utf-8") if (ROOT / path).exists() else ""
    assert written == text, f"{path} is stale: run `make docs`"
