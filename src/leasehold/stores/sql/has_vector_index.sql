select exists (select from pg_index i join pg_class c on c.oid = i.indexrelid
                where c.oid = to_regclass('leasehold.' || quote_ident(%s)) and i.indisvalid)
