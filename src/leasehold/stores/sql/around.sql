-- The chunks up to so many places before and after each of these, with their distance; without the chunk itself.
select a.ord, c.ordinal - a.ordinal as distance, c.text
  from unnest(%(documents)s::bigint[], %(ordinals)s::integer[]) with ordinality a(document_id, ordinal, ord)
  join leasehold.chunk c on c.collection_id = %(collection_id)s and c.document_id = a.document_id
       and c.ordinal between a.ordinal - %(around)s and a.ordinal + %(around)s and c.ordinal <> a.ordinal
 order by a.ord, c.ordinal
