-- item_state: what has become of each item: its own verdict, or how its run ended, or that it is still under way.
create or replace view leasehold.item_state as
select i.item_id, i.source_id, i.path, i.size, i.media_type, i.run_id, i.pending_id, i.document_id, i.pipeline,
       coalesce(i.verdict, case o.ended when 'failed' then 'failed' when 'cancelled' then 'cancelled'
                                        else 'pending' end) as state,
       i.reason, i.detail
  from leasehold.item i
  left join leasehold.run_outcome o on i.verdict is null and o.run_id = i.run_id and not o.reopened;
