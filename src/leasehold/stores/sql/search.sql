-- Hybrid search: the nearest vectors and the best word matches, fused by reciprocal rank; one row per chunk.
with asked as (
    select string_agg('''' || replace(replace(w.lexeme, '\', '\\'), '''', '''''') || '''', ' | ')::tsquery as words
      from (select u.lexeme from unnest(to_tsvector('english', %(question)s)) u
             order by u.positions[1], u.lexeme limit %(words_max)s) w
), by_vector as (
    select v.document_id, v.ordinal, row_number() over (order by v.distance) as rank
      from (select c.document_id, c.ordinal, c.embedding <=> %(vector)s::vector as distance
              from leasehold.chunk c
             where c.collection_id = %(collection_id)s /* by vector */
             order by c.embedding <=> %(vector)s::vector limit %(pool)s) v
     where v.distance < 0.85  -- farther ones share a word by chance of hashing only
), by_words as (
    select w.document_id, w.ordinal, row_number() over (order by w.score desc, w.document_id, w.ordinal) as rank
      from (select c.document_id, c.ordinal, ts_rank_cd(c.words, a.words, 1) as score
              from leasehold.chunk c, asked a
             where c.collection_id = %(collection_id)s and c.words @@ a.words
             order by score desc, c.document_id, c.ordinal limit %(pool)s) w
), fused as (
    select document_id, ordinal, sum(1.0 / (60 + rank)) as score
      from (select * from by_vector union all select * from by_words) u
     group by document_id, ordinal
)
select f.document_id, f.ordinal, f.score::float8, c.text, c.line_start, c.line_end, c.heading, d.title, p.path, p.root,
       p.copies
  from fused f
  join leasehold.chunk c
    on c.collection_id = %(collection_id)s and c.document_id = f.document_id and c.ordinal = f.ordinal
  join leasehold.collection_document d on d.collection_id = c.collection_id and d.document_id = c.document_id
 cross join lateral (select (array_agg(i.path order by s.source_id, i.path))[1] as path,
                            (array_agg(s.root order by s.source_id, i.path))[1] as root, count(*) as copies
                       from leasehold.item i join leasehold.source s using (source_id)
                      where i.document_id = f.document_id and s.collection_id = d.collection_id) p
 where p.copies > 0
 order by f.score desc, p.path, p.root, f.ordinal limit %(limit)s
