-- breaker_pause: for how long a breaker with so many strikes holds its kind back before the next probe: 5 s, doubled for
-- each further strike, at most 5 minutes.
create or replace function leasehold.breaker_pause(p_strikes integer)
returns interval language sql immutable parallel safe as $$
    select make_interval(secs => least(300, 5 * 2 ^ least(p_strikes - 1, 30)))
$$;
