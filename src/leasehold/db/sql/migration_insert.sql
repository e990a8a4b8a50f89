insert into leasehold.migration (number, name, checksum) values (%s, %s, %s)
on conflict (number) do update set checksum = excluded.checksum, applied_at = clock_timestamp()
