insert into leasehold_chaos.hook_effect (key, hook, event, label, n) values (%s, %s, %s, %s, %s)
on conflict (key) do update set calls = leasehold_chaos.hook_effect.calls + 1
