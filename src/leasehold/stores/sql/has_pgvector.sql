-- By the column itself, whatever schema the extension stands in and whatever this role's search path is.
select exists (select from pg_attribute a join pg_type t on t.oid = a.atttypid
                where a.attrelid = 'leasehold.chunk'::regclass and a.attname = 'embedding' and t.typname = 'vector')
