select store_id, url, endpoint, region, mark from leasehold.artifact_store order by store_id
