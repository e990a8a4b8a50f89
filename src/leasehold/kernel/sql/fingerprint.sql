-- fingerprint: what errors that mean the same have in common: twelve characters over the reason and the detail's last
-- line, without what differs from one item to the next: quoted text, paths and addresses, words with a digit in them.
create or replace function leasehold.fingerprint(p_reason text, p_detail text)
returns text language sql immutable parallel safe as $$
    select substr(encode(sha256(convert_to(coalesce(p_reason, '') || e'\n' || left(regexp_replace(regexp_replace(
               regexp_replace(regexp_replace(
                   lower(coalesce(substring(left(p_detail, 10000) from '([^\n]*)\s*$'), '')),
                   '"[^"]*"|''[^'']*''|`[^`]*`', '?', 'g'),
               '\S*/\S*', '?', 'g'), '\w*\d\w*', '#', 'g'), '\s+', ' ', 'g'), 300), 'UTF8')), 'hex'), 1, 12)
$$;
