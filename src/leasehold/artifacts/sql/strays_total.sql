select count(*) from leasehold.artifact_stray
