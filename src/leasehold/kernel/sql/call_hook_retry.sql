select leasehold.hook_retry(%s)
