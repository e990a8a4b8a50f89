-- The rows that :rows runs of one step each leave behind when all have succeeded, in group :group, which is open.
select leasehold.ensure_partitions(i) from generate_series(1, :rows + 1048576, 1048576::bigint) i;
select setval('leasehold.event_seq', i), leasehold.ensure_events()
    from generate_series(1, 2 * :rows::bigint + 4194304, 4194304) i;
select setval('leasehold.event_seq', (select max(event_id) from leasehold.event));
insert into leasehold.run (run_id, group_id) select i, :group from generate_series(1, :rows) i;
insert into leasehold.payload (run_id, item) select i, '{"n": 0}' from generate_series(1, :rows) i;
insert into leasehold.step (step_id, lane_id)
    select i * 1024::bigint, l.lane_id from leasehold.lane l, generate_series(1, :rows) i where l.group_id = :group;
insert into leasehold.outcome (step_id, token, attempt, ended, at)
    select i * 1024::bigint, i / 500 + 1, 1, 'succeeded', leasehold.now() from generate_series(1, :rows) i;
insert into leasehold.run_outcome (run_id, round, ended, at)
    select i, 1, 'succeeded', leasehold.now() from generate_series(1, :rows) i;
insert into leasehold.event (name, group_id, run_id, at)
    select 'run_start', :group, i, leasehold.now() from generate_series(1, :rows) i;
insert into leasehold.event (name, group_id, run_id, at)
    select 'run_end', :group, i, leasehold.now() from generate_series(1, :rows) i;
insert into leasehold.group_span (group_id, first_run, last_run) values (:group, 1, :rows);
insert into leasehold.group_delta (group_id, succeeded, failed, cancelled) values (:group, :rows, 0, 0);
update leasehold.run_group set added = :rows where group_id = :group;
select setval('leasehold.run_seq', :rows), setval('leasehold.token_seq', :rows / 500 + 2)
