select * from leasehold.fold_all()
