select exists (select from pg_attribute where attrelid = 'leasehold.chunk'::regclass and attname = 'embedding' and atttypid = to_regtype('vector'))
