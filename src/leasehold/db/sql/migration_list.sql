select number, checksum from leasehold.migration order by number
