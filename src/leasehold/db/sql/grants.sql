-- Whoever may look at the tables may not thereby end a holder: functions are executable by all unless this is said.
revoke all on all functions in schema leasehold from public;
