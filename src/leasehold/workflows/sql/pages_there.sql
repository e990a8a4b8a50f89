select page from leasehold.group_span where group_id = %s and page is not null
