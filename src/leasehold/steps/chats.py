"""Chat exports in JSON: conversations as a person reads them, one line of speaker and time above each message.

Three shapes are known: ChatGPT's export (conversations as trees of messages, of which the branch that was last shown is
read), Slack's (a list of messages of a channel's day), and lists of `role` and `content`, as every model's interface
has them, alone or under `messages`. JSON of any other shape is read as JSON.

Lines count within a conversation. The title of a conversation, where it has one, is the heading of its messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from leasehold.steps import json_text
from leasehold.steps.blocks import short_heading
from leasehold.steps.decoding import clean, decode, normalise_newlines
from leasehold.types import Block, Parsed

READER_VERSION = 1

TREE_MAX = 100_000
UNREAD_ROLES = frozenset({"system", "developer"})
"""Instructions to a model stand in every conversation and answer nothing."""


@dataclass(frozen=True, slots=True)
class Message:
    speaker: str
    at: str
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    title: str
    messages: list[Message]


def read(data: bytes, media_type: str, name: str) -> Parsed:
    found = _conversations(data)
    if found is None:
        parsed = json_text.read(data, "application/json", name)
        return replace(parsed, notes=(*parsed.notes, "read as JSON: it is no chat export of a known shape"))
    blocks = [block for number, one in enumerate(found, 1) for block in _blocks(one, number)]
    return Parsed(tuple(blocks), found[0].title if len(found) == 1 else "")


def _blocks(conversation: Conversation, number: int) -> Iterator[Block]:
    heading = (short_heading(conversation.title),) if conversation.title.strip() else ()
    line = 1
    for message in conversation.messages:
        said = f"{message.speaker}{f' ({message.at})' if message.at else ''}:\n{message.text.strip()}"
        yield Block(said, line, heading, (("conversation", number),))
        line += said.count("\n") + 2


def _conversations(data: bytes) -> list[Conversation] | None:
    import orjson

    try:
        body = orjson.loads(decode(data)[0])
    except orjson.JSONDecodeError:
        return None
    rows = body if isinstance(body, list) else [body]
    found = _of_shape(rows)
    return [one for one in found if one.messages] if found is not None else None


def _of_shape(rows: list[Any]) -> list[Conversation] | None:
    dicts = [row for row in rows if isinstance(row, dict)]
    if not dicts or len(dicts) < len(rows):
        return None
    if all(isinstance(row.get("mapping"), dict) for row in dicts):
        return [Conversation(_string(row.get("title")), list(_branch(row))) for row in dicts]
    if all(_is_message(row) for row in dicts):
        return [Conversation("", [one for row in dicts if (one := _message(row))])]
    if all(isinstance(row.get("messages"), list) for row in dicts):
        return [Conversation(_string(row.get("title") or row.get("name")), _listed(row["messages"])) for row in dicts]
    if all(isinstance(row.get("chat_messages"), list) for row in dicts):
        return [Conversation(_string(row.get("name")), _listed(row["chat_messages"])) for row in dicts]
    return None


def _listed(rows: list[Any]) -> list[Message]:
    return [one for row in rows if isinstance(row, dict) and (one := _message(row))]


def _is_message(row: dict[str, Any]) -> bool:
    spoken = isinstance(row.get("role"), str) and "content" in row
    return spoken or (isinstance(row.get("ts"), str) and "text" in row)


def _message(row: dict[str, Any]) -> Message | None:
    """A message of any of the flat shapes; None for what says nothing to a person."""
    author = row.get("author")
    profile = row.get("user_profile")
    named = profile.get("real_name") if isinstance(profile, dict) else None
    role = row.get("role") or row.get("sender") or (author.get("role") if isinstance(author, dict) else author)
    speaker = _string(named or role or row.get("username") or row.get("user") or row.get("from")) or "somebody"
    text = _content(row.get("content") if row.get("content") is not None else row.get("text"))
    if not text.strip() or speaker in UNREAD_ROLES:
        return None
    at = row.get("ts") or row.get("create_time") or row.get("created_at") or row.get("timestamp") or row.get("date")
    return Message(speaker, _time(at), text)


def _branch(row: dict[str, Any]) -> Iterator[Message]:
    """The messages from the root of a tree to its current node; without one, all that there are, as they stand."""
    mapping = row["mapping"]
    path, at = [], row.get("current_node")
    seen: set[str] = set()
    while isinstance(at, str) and at in mapping and at not in seen and len(seen) < TREE_MAX:
        seen.add(at)
        node = mapping[at] if isinstance(mapping[at], dict) else {}
        path.append(node)
        at = node.get("parent")
    nodes = path[::-1] or [node for node in mapping.values() if isinstance(node, dict)]
    for node in nodes:
        message = node.get("message")
        if isinstance(message, dict) and (one := _message(message)):
            yield one


def _content(content: object) -> str:
    """A text; or parts, each a text or an object with one."""
    if isinstance(content, str):
        return normalise_newlines(clean(content))
    if isinstance(content, dict):
        return _content(content.get("parts") or content.get("text") or content.get("result") or "")
    if isinstance(content, list):
        parts = [_content(one) if isinstance(one, str) else _part(one) for one in content]
        return "\n".join(part for part in parts if part.strip())
    return ""


def _part(part: object) -> str:
    text = part.get("text") if isinstance(part, dict) else None
    return normalise_newlines(clean(text)) if isinstance(text, str) else ""


def _string(value: object) -> str:
    return " ".join(clean(value)[:400].split()) if isinstance(value, str) else ""


def _time(at: object) -> str:
    """ISO, in UTC and to the minute; nothing for what is no time."""
    try:
        if isinstance(at, str) and not at.replace(".", "", 1).isdigit():
            return _string(at)[:16].replace("T", " ")
        if isinstance(at, (str, int, float)) and not isinstance(at, bool):
            return datetime.fromtimestamp(float(at), UTC).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        pass  # a number that is no time
    return ""
