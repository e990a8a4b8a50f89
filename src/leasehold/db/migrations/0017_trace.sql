-- Trace: which trace a group belongs to, so that the spans of its steps can be linked to whoever submitted it.
--
-- Works with programs from 0002: they write none, and link none.

-- W3C trace context: 00-<trace>-<span>-<flags>; null: none.
alter table leasehold.run_group add column trace text check (trace ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$');
