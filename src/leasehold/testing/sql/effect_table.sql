-- What steps of a simulation do, written in the transaction of their finish: once for each accepted success.
create table if not exists leasehold_test.effect (step_id bigint not null, token bigint not null)
