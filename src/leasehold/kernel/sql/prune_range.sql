-- prune_range: let the runs that go leave one closed range: swap its partitions for new ones that have the others.
--
-- Alone in its transaction. What takes long is done beside the work: choosing, copying what is kept and has ended,
-- counting for the groups. Then, under a lock and for a few milliseconds: whether anything has come to life since, the
-- few kept runs that are live, the swap. The old tables are left detached, as …_gone; prune_drop removes them.
--
-- Returns  what became of it: pruned; nothing (nothing goes); current (runs are still drawn from it); held (more is kept
--          than goes, or more than 1,000 runs are live: copying those would take too long under the lock); busy (the
--          lock was not got, or what was looked at has changed: try again); and how many runs are gone and kept.
-- Cost     1,000,000 runs of one step 9 s, of which the lock 20 to 80 ms: bench/prune.py, docs/decisions.
-- Blocks   vacuums and other prunes of the range. Under the lock: who adds, finishes or retries. It waits for that lock
--          p_wait_ms at most, p_tries times with a pause between; claims wait only to read items.
-- Fencing  nothing comes to life in a closed range but by a retry: that has the lock until it commits, and has put a step
--          into one of the waiting tables by then, or opened a round of its group.
create or replace function leasehold.prune_range(
    p_range bigint, p_older_s double precision, p_keep_failed boolean, p_needed bigint[], p_wait_ms integer, p_tries integer,
    out verdict text, out gone bigint, out kept bigint)
language plpgsql set jit = off as $$
declare
    c_first constant bigint := p_range << 20;
    c_end constant bigint := (p_range + 1) << 20;
    c_tables constant text[] := array(select t.name from leasehold.range_tables() t);
    v_table text;
    v_key text;
    v_factor bigint;
    v_parts text[];
    v_live bigint;
    v_until timestamptz;
begin
    gone := 0;
    kept := 0;
    if c_end > coalesce(pg_sequence_last_value('leasehold.run_seq'::regclass), 0) + 1 then
        verdict := 'current';
        return;
    end if;
    v_parts := array(select format('%s_p%s', t, p_range) from unnest(c_tables) t);
    begin  -- longer than deadlock_timeout, so that an autovacuum makes way
        perform set_config('lock_timeout', '3s', true);
        foreach v_table in array v_parts loop
            if to_regclass(format('leasehold.%I', v_table)) is null then
                verdict := 'nothing';
                return;
            end if;
            execute format('lock table only leasehold.%I in share update exclusive mode', v_table);
        end loop;
    exception
        when lock_not_available then
            verdict := 'busy';
            return;
        when undefined_table then  -- while we waited, another prune took it
            verdict := 'nothing';
            return;
    end;
    perform set_config('lock_timeout', '0', true);
    if exists (select from pg_locks k  -- whoever drew ids before the range was closed and has not committed
                where k.locktype = 'relation' and k.mode = 'RowExclusiveLock' and k.granted and k.pid <> pg_backend_pid()
                  and k.database = (select d.oid from pg_database d where d.datname = current_database())
                  and k.relation in (to_regclass(format('leasehold.run_p%s', p_range)),
                                   to_regclass(format('leasehold.payload_p%s', p_range))))
    then
        verdict := 'busy';
        return;
    end if;

    -- A call of a hook that failed can be retried; a retry locks its row, and waits for us.
    perform from leasehold.hook_call h
      where h.step_id >= c_first * 1024 and h.step_id < c_end * 1024
        and (select o.ended from leasehold.outcome o where o.step_id = h.step_id order by o.token desc limit 1) = 'failed'
      order by h.step_id for update;
    create temporary table pruning (run_id bigint primary key, group_id bigint, ended leasehold.ending, live boolean,
                                    goes boolean, hook boolean) on commit drop;
    insert into pruning select * from leasehold.range_runs(p_range, p_older_s, p_keep_failed, p_needed);
    analyze pruning;
    select count(*) filter (where x.goes), count(*) filter (where not x.goes), count(*) filter (where x.live)
      into gone, kept, v_live from pruning x;
    if gone + kept > 0 and (gone = 0 or kept > gone or v_live > 1000) then
        verdict := case when gone = 0 then 'nothing' else 'held' end;
        return;
    end if;
    create temporary table pruning_kept (run_id bigint primary key, live boolean) on commit drop;
    insert into pruning_kept select x.run_id, x.live from pruning x where not x.goes;
    analyze pruning_kept;
    create temporary table pruning_groups on commit drop as
    select g.group_id, g.round from leasehold.run_group g
     where g.group_id in (select distinct x.group_id from pruning x where not x.goes);
    select max(o.at) into v_until from leasehold.run_outcome o join pruning x using (run_id) where x.goes;

    if kept > 0 then
        for v_table, v_key, v_factor in select t.name, t.key, t.factor from leasehold.range_tables() t loop
            -- The check says what attaching would else have to read the table for, under the lock.
            execute format('create table leasehold.%I (like leasehold.%I including all, '
                           'constraint prune_range check (%I >= %s and %I < %s))',
                           format('%s_new%s', v_table, p_range), v_table, v_key, c_first * v_factor, v_key, c_end * v_factor);
            perform leasehold.prune_copy(v_table, p_range, false);
        end loop;
    end if;

    -- For the groups: how the runs that go had ended, and which spans of ids are left.
    insert into leasehold.group_pruned as p (group_id, at, succeeded, failed, cancelled)
    select x.group_id, leasehold.now(), count(*) filter (where x.ended = 'succeeded' and not x.hook),
           count(*) filter (where x.ended = 'failed' and not x.hook),
           count(*) filter (where x.ended = 'cancelled' and not x.hook)
      from pruning x where x.goes group by x.group_id order by x.group_id
    on conflict (group_id) do update
       set at = excluded.at, succeeded = p.succeeded + excluded.succeeded, failed = p.failed + excluded.failed,
           cancelled = p.cancelled + excluded.cancelled;
    create temporary table pruning_touched (group_id bigint primary key) on commit drop;
    insert into pruning_touched select distinct x.group_id from pruning x where x.goes and not x.hook;
    analyze pruning_touched;
    with cut as (
        delete from leasehold.group_span s using pruning_touched t
         where s.group_id = t.group_id and s.first_run < c_end and s.last_run >= c_first
        returning s.group_id, s.first_run, s.last_run)
    insert into leasehold.group_span (group_id, first_run, last_run)
    select c.group_id, c.first_run, c_first - 1 from cut c where c.first_run < c_first
    union all
    select c.group_id, c_end, c.last_run from cut c where c.last_run >= c_end;
    insert into leasehold.group_span (group_id, first_run, last_run)
    select i.group_id, min(i.run_id), max(i.run_id)
      from (select x.group_id, x.run_id, x.run_id - row_number() over (partition by x.group_id order by x.run_id) as island
              from pruning x
              join pruning_touched t using (group_id) where not x.goes and not x.hook) i
     group by i.group_id, i.island;
    delete from leasehold.hook_call h using pruning x
     where x.goes and x.hook and h.step_id >= c_first * 1024 and h.step_id < c_end * 1024 and h.step_id >> 10 = x.run_id;
    insert into leasehold.pruned (what, range, at, gone, kept, until)
    values ('runs', p_range, leasehold.now(), gone, kept, v_until);

    verdict := 'busy';
    for v_try in 1 .. p_tries loop
        begin
            if leasehold.prune_swap(p_range, kept > 0, p_wait_ms) then
                verdict := 'pruned';
                return;
            end if;
            exit;
        exception when lock_not_available then
            null;  -- whoever waited behind us goes on
        end;
        perform pg_sleep((0.2 + random() * 0.2) * (v_try < p_tries)::integer);
    end loop;
    raise exception using errcode = 'LS005', message = format('range %s is in use', p_range),
        hint = 'Prune again: leasehold prune.';
end
$$;
