-- Whoever may look at the tables may not thereby end a holder: functions are executable by all unless this is said.
-- Ours only, not those of an extension that stands in the schema.
do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid from pg_proc p
         where p.pronamespace = 'leasehold'::regnamespace
           and not exists (select from pg_depend d
                            where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
    loop
        execute format('revoke all on function %s from public', v_function);
    end loop;
end
$$;
