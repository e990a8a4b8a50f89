insert into leasehold.migration (number, name, checksum, oldest, release) values (%s, %s, %s, %s, %s)
on conflict (number) do update
   set checksum = excluded.checksum, oldest = excluded.oldest, release = excluded.release,
       applied_at = clock_timestamp()
