-- fold_all: fold every group that has something to fold or may be complete. Each keeper runs it once a second, and so
-- keeps a range of events made ahead.
--
-- Returns  the groups whose round was completed by this call.
-- Cost     one probe per open group.
-- Blocks   never.
-- Fencing  as group_fold.
create or replace function leasehold.fold_all()
returns setof bigint language plpgsql as $$
declare
    v_group_id bigint;
begin
    perform leasehold.ensure_events();
    for v_group_id in
        select g.group_id from leasehold.run_group g
         where g.completed_at is null
           and (g.sealed_at is not null and g.succeeded + g.failed + g.cancelled = g.added
                or exists (select from leasehold.group_delta d where d.group_id = g.group_id))
         order by g.group_id
    loop
        if leasehold.group_fold(v_group_id) then
            return next v_group_id;
        end if;
    end loop;
end
$$;
