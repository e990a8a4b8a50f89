select to_regclass('leasehold.migration')::text
