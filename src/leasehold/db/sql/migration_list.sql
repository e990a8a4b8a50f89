-- Through jsonb: a database that an older program made has not all of these columns yet.
select m.number, m.checksum, (to_jsonb(m) ->> 'oldest')::integer, to_jsonb(m) ->> 'release'
  from leasehold.migration m order by m.number
