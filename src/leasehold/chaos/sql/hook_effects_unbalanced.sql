-- Calls that the drill's hooks have left no row of, and rows without a call: at most 20 of them.
select coalesce(f.key, c.key), coalesce(f.hook, c.name), count(f.key)
  from leasehold_chaos.hook_effect f
  full join (select leasehold.hook_key(h.name, c.event_id, h.salt) as key, h.name
               from leasehold.hook_call c join leasehold.hook h on h.hook_id = c.hook_id) c on c.key = f.key
 where f.key is null or c.key is null
 group by 1, 2 order by 1 limit 20
