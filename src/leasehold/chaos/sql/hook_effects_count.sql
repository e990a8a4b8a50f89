select count(*) from leasehold_chaos.hook_effect
