select ord, verdict
  from leasehold.finish(%s::bigint[], %s::bigint[], %s::leasehold.ending[], %s::text[], %s::text[],
                        %s::double precision[], %s::bytea[])
