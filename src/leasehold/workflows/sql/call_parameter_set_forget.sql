select leasehold.parameter_set_forget(%s, %s)
