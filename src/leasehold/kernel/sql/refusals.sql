select verb, sum(steps) from leasehold.refusal group by verb
