"""The script: a template, and names that are safe to put into it.

The SQL is `sql/script.sql.tmpl`, to be read there. This module checks every name, quotes it for each place where it
stands (as an identifier, as a literal, inside a format string), and fills it in. It never connects to a database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from leasehold.errors import UsageError

ID_TYPES = {
    "uuid": ("uuid",),
    "bigint": ("bigint", "integer", "smallint"),
    "text": ("text", "character varying"),
}
NAME_MAX = 24  # the longest name made of it, release_NAME_claims_for_worker, fits into PostgreSQL's 63 bytes
IDENTIFIER_MAX_BYTES = 63
ATTEMPTS_MAX = 100
MARK = "Leasehold claims "
TAG = "$leasehold$"
PARTS = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^\W\d][\w$]*))\s*(\.|$)')
PLACE = re.compile(r"\{\{(\w+)\}\}")
SETTINGS = (
    "set search_path = '' set jit = off set timezone = 'UTC' set datestyle = 'ISO'\n"
    "    set intervalstyle = 'postgres' set bytea_output = 'hex' set extra_float_digits = 1"
)
"""Content must have one spelling in every session, or a fingerprint would change with the caller's settings."""
TAKE = """worker_id = p_worker_id, status = 'claimed', claimed_at = pg_catalog.clock_timestamp(),
               ttl_expires_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => p_ttl_seconds),
               attempt_count = case when c.retry_at is null then 1 else c.attempt_count + 1 end, retry_at = null,
               token = pg_catalog.nextval({{token_seq_literal}}::regclass), claimed_fingerprint = free.fingerprint,
               row_version = null"""
VERSION = """(select {{schema}}.{{name}}_claims_home()) || ':' || pg_catalog.pg_relation_filenode(t.tableoid)
               || ':' || t.ctid::text || ':' || t.xmin::text"""
EDITED = "case when c.row_version = {{version}} then false else c.fingerprint <> {{fingerprint}} end"
"""In this order: the version is compared without reading the content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Which table is shared, and under which names. Names are the database's own, without quotes."""

    schema: str
    table: str
    id: str
    id_type: str
    name: str
    content: tuple[str, ...] = ()
    """Columns whose change opens a result again; none: any column."""
    attempts_max: int = 5
    """Claims of one content before a row that always fails or kills its worker ends failed."""

    def __post_init__(self) -> None:
        for identifier in (self.schema, self.table, self.id, *self.content):
            _check_identifier(identifier)
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name) or len(self.name) > NAME_MAX:
            remedy = f"Give a singular in lower case, up to {NAME_MAX} of a-z, 0-9, _: thought."
            raise UsageError(f"--name {self.name!r} cannot be part of function names.", remedy=remedy)
        if self.id_type not in ID_TYPES:
            raise UsageError(f"--id-type {self.id_type!r} is not supported.", remedy="Give uuid, bigint or text.")
        if not 1 <= self.attempts_max <= ATTEMPTS_MAX:
            raise UsageError(f"--attempts-max {self.attempts_max} is out of range.",
                             remedy=f"Give 1 to {ATTEMPTS_MAX}.")  # fmt: skip

    @property
    def described(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.table)}"


def of(
    table: str, id: str, id_type: str, name: str, content: Sequence[str] = (), attempts_max: int = 5
) -> Claims:  # fmt: skip
    """Claims by names as SQL writes them: unquoted ones fold to lower case, a schema that is left out is public.

    Raises:
        UsageError: a name that cannot be one, an unknown type, a bound out of range.
    """
    parts = identifiers(table, "--table")
    if len(parts) > 2:
        raise UsageError(f"--table {table!r} has more than schema and table.", remedy="Give schema.table.")
    schema, bare = parts if len(parts) == 2 else ("public", parts[0])
    return Claims(
        schema=schema, table=bare, id=_single(id, "--id"), id_type=id_type, name=name,
        content=tuple(_single(one, "--content-column") for one in content), attempts_max=attempts_max,
    )  # fmt: skip


def printed(claims: Claims) -> str:
    """The whole script, in one transaction, with its rollback as comments at the end."""
    undo = "\n".join(f"-- {line}".rstrip() for line in ["begin;", *rollback(claims).splitlines(), "commit;"])
    return (
        f"begin;\n\n{install(claims)}\ncommit;\n\n"
        f"-- Rollback: removes all of the above; {claims.described} itself is not touched.\n"
        f"--\n{undo}\n"
    )


def install(claims: Claims) -> str:
    """The statements that make or converge it, for a transaction of the caller's."""
    return render("script", claims)


def rollback(claims: Claims) -> str:
    """The statements that remove it, for a transaction of the caller's."""
    return render("rollback", claims)


def render(name: str, claims: Claims, *, parameters: bool = False) -> str:
    """The template sql/NAME.sql.tmpl with its names filled in.

    Args:
        parameters: it will be run with parameters, so a percent sign in a name must not look like one.
    """
    text = template(name)
    found = places(claims)
    if parameters:
        found = {place: value.replace("%", "%%") for place, value in found.items()}
    return PLACE.sub(lambda match: found[match[1]], text)


def template(name: str) -> str:
    return (files("leasehold.claims") / "sql" / f"{name}.sql.tmpl").read_text("utf-8")


def places(claims: Claims) -> dict[str, str]:
    """What stands for each {{place}} of a template."""
    schema, name, kind = quoted(claims.schema), claims.name, claims.id_type
    table, own = claims.described, f"{schema}.{name}_work_claims"
    columns = ", ".join(f"t.{quoted(one)}" for one in claims.content)
    content = f"pg_catalog.jsonb_build_array({columns})" if columns else "pg_catalog.to_jsonb(t.*)"
    signatures = functions(claims)
    found = {
        "schema": schema,
        "schema_literal": literal(schema),
        "schema_in_format": _in_format(schema),
        "table": table,
        "table_literal": literal(table),
        "id": quoted(claims.id),
        "id_name_literal": literal(claims.id),
        "id_type": kind,
        "id_types_literal": ", ".join(literal(one) for one in ID_TYPES[kind]),
        "name": name,
        "attempts_max": str(claims.attempts_max),
        "content_literals": ", ".join(literal(one) for one in claims.content),
        "content_json_literal": literal(json.dumps(claims.content, ensure_ascii=False)),
        "fingerprint_function_literal": literal(f"{schema}.{name}_fingerprint({kind})"),
        "claims": own,
        "claims_literal": literal(own),
        "claims_in_format": _in_format(own),
        "view_in_format": _in_format(f"{schema}.{name}_claims_progress"),
        "token_seq": f"{own}_token_seq",
        "token_seq_literal": literal(f"{own}_token_seq"),
        "token_seq_in_format": _in_format(f"{own}_token_seq"),
        "comment_literal": literal(MARK + json.dumps(as_dict(claims), ensure_ascii=False)),
        "fingerprint": f"pg_catalog.md5({content}::text)",
        "settings": SETTINGS,
        "function_literals": ",\n        ".join(literal(one) for one in signatures),
        "old_claim_literal": literal(f"{schema}.claim_{name}s({kind}[], text, text, integer)"),
        "old_release_literal": literal(f"{schema}.release_{name}({kind}, text, text, text, text)"),
        "old_bulk_literal": literal(f"{schema}.release_claims_for_worker(text, text)"),
    }
    for place, composed in (("take", TAKE), ("version", VERSION), ("edited", EDITED)):
        found[place] = PLACE.sub(lambda match: found[match[1]], composed)
    return found


def functions(claims: Claims) -> list[str]:
    """Every function of the script, by its signature."""
    name, kind = claims.name, claims.id_type
    args = {
        f"{name}_claims_check": "text, text, integer",
        f"{name}_claims_filter_check": "jsonb",
        f"{name}_claims_reap": "text",
        f"{name}_fingerprint": kind,
        f"{name}_claims_home": "",
        f"{name}_claims_compared": "text, jsonb",
        f"claim_{name}s_rows": f"{kind}[], text, text, integer",
        f"claim_{name}s": f"{kind}[], text, text, integer",
        f"claim_{name}s_json": f"{kind}[], text, text, integer",
        f"claim_next_{name}s": f"text, text, integer, integer, jsonb, {kind}",
        f"claim_next_{name}s_json": f"text, text, integer, integer, jsonb, {kind}",
        f"renew_{name}_claims": "text, text, integer, bigint[]",
        f"renew_{name}_claims_json": "text, text, integer, bigint[]",
        f"release_{name}": f"{kind}, text, text, text, text, bigint, text, integer, boolean",
        f"release_{name}_claims_for_worker": "text, text",
        "release_claims_for_worker": "text, text",
        f"{name}_claims_remaining": "text, jsonb",
        f"{name}_claims_counts": "",
    }
    return [f"{quoted(claims.schema)}.{function}({of_it})" for function, of_it in args.items()]


def as_dict(claims: Claims) -> dict[str, Any]:
    return {
        "schema": claims.schema, "table": claims.table, "id": claims.id, "id_type": claims.id_type,
        "name": claims.name, "content": list(claims.content), "attempts_max": claims.attempts_max,
    }  # fmt: skip


# -- names ------------------------------------------------------------------------------------------------------------


def identifiers(text: str, option: str) -> list[str]:
    """The parts of a dotted name as SQL reads them: quoted ones as they are, others in lower case."""
    found: list[str] = []
    at, more = 0, True
    while more:
        match = PARTS.match(text, at)
        if match is None:
            raise UsageError(f"{option} {text!r} is no name.",
                             remedy='Quote as in SQL what is not plain: public."My Table".')  # fmt: skip
        plain = "".join(c.lower() if c.isascii() else c for c in match[2] or "")
        found.append(match[1].replace('""', '"') if match[1] else plain)
        at, more = match.end(), match[3] == "."
    return found


def _single(text: str, option: str) -> str:
    parts = identifiers(text, option)
    if len(parts) != 1:
        raise UsageError(f"{option} {text!r} is not one column.", remedy="Give the column's name alone.")
    return parts[0]


def _check_identifier(name: str) -> None:
    if not name or len(name.encode("utf-8", "replace")) > IDENTIFIER_MAX_BYTES:
        raise UsageError(f"{name!r} is empty or longer than {IDENTIFIER_MAX_BYTES} bytes.")
    if not name.isprintable() or TAG in name:
        raise UsageError(f"The name {name!r} has characters that cannot stand in a script.",
                         remedy="Rename the table or column, or share a table that refers to it.")  # fmt: skip


def quoted(name: str) -> str:
    """An identifier; always in double quotes but for `public`, so that no word of SQL's can be meant."""
    return name if name == "public" else '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string constant. An escape string when there is a backslash, so no server setting can change what it means."""
    plain = "'" + text.replace("'", "''") + "'"
    return " E" + plain.replace("\\", "\\\\") if "\\" in text else plain


def _in_format(text: str) -> str:
    """SQL text inside a single-quoted format string."""
    return text.replace("'", "''").replace("%", "%%")
