insert into leasehold.oddity (source_id, path, verdict, reason, detail, remedy)
select %s, u.path, u.verdict, u.reason, u.detail, u.remedy
  from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[]) u(path, verdict, reason, detail, remedy)
on conflict (source_id, path) do nothing
