-- Documents of two collections: in how many of them, with up to so many paths of each; and how many of the shared ones
-- are cut into the same pieces of text.
with mine as (
    select d.document_id, d.recipe from leasehold.collection_document d where d.collection_id = %(mine)s
), other as (
    select d.document_id, d.recipe from leasehold.collection_document d where d.collection_id = %(other)s
), sides as (
    select case when o.document_id is null then 'mine' when m.document_id is null then 'other' else 'both' end as side,
           coalesce(m.document_id, o.document_id) as document_id,
           case when o.document_id is null then %(mine)s::bigint else %(other)s::bigint end as collection_id,
           coalesce(m.recipe = o.recipe, false) as same
      from mine m full join other o using (document_id)
), named as (
    select x.*, row_number() over (partition by x.side order by p.path) as place, p.path
      from sides x
     cross join lateral (select min(i.path) as path from leasehold.item i join leasehold.source s using (source_id)
                          where i.document_id = x.document_id and s.collection_id = x.collection_id) p
)
select n.side, count(*), count(*) filter (where n.same),
       coalesce(array_agg(n.path order by n.place) filter (where n.place <= %(shown)s), '{}')
  from named n group by n.side
