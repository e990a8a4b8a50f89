-- Hybrid search: the nearest vectors and the best word matches, fused by reciprocal rank; one row per chunk.
with lexemes as (
    select ('''' || replace(replace(w.lexeme, '\', '\\'), '''', '''''') || '''')::tsquery as word
      from (select u.lexeme from unnest(to_tsvector('english', %(question)s)) u
             order by u.positions[1], u.lexeme limit %(words_max)s) w
), asked as (
    select string_agg(l.word::text, ' | ')::tsquery as words from lexemes l
), by_vector as (
    select v.document_id, v.ordinal, row_number() over (order by v.distance) as rank
      from (select c.document_id, c.ordinal, c.embedding <=> %(vector)s::vector as distance
              from leasehold.chunk c
             where c.collection_id = %(collection_id)s /* by vector */
               and (%(documents)s::bigint[] is null or c.document_id = any (%(documents)s))
             order by c.embedding <=> %(vector)s::vector limit %(pool)s) v
     where v.distance < %(far)s
), best_words as (
    select c.document_id, c.ordinal, (select count(*) from lexemes l where c.words @@ l.word) as found,
           ts_rank_cd(c.words, a.words, 1) as score
      from leasehold.chunk c, asked a
     where c.collection_id = %(collection_id)s and c.words @@ a.words
       and (%(documents)s::bigint[] is null or c.document_id = any (%(documents)s))
     order by found desc, score desc, c.document_id, c.ordinal limit %(pool)s
), by_words as (  -- how many of the question's words, in the text or the path; then how close together
    select b.document_id, b.ordinal,
           row_number() over (order by b.found + p.found desc, b.score desc, p.path, b.ordinal) as rank
      from best_words b
     cross join lateral (select min(i.path) as path,
                                (select count(*) from lexemes l
                                  where to_tsvector('english', translate(min(i.path), '/._-', '    ')) @@ l.word) as found
                           from leasehold.item i join leasehold.source s using (source_id)
                          where i.document_id = b.document_id and s.collection_id = %(collection_id)s
                            and (%(items)s::bigint[] is null or i.item_id = any (%(items)s))) p
), fused as (
    select document_id, ordinal, sum(weight / (60 + rank)) as score
      from (select *, 1.0 as weight from by_vector union all select *, %(words_weight)s from by_words) u
     group by document_id, ordinal
)
select f.document_id, f.ordinal, f.score::float8, c.text, c.line_start, c.line_end, c.heading, c.place, d.title, p.path,
       p.root, p.copies
  from fused f
  join leasehold.chunk c
    on c.collection_id = %(collection_id)s and c.document_id = f.document_id and c.ordinal = f.ordinal
  join leasehold.collection_document d on d.collection_id = c.collection_id and d.document_id = c.document_id
 cross join lateral (select (array_agg(i.path order by s.source_id, i.path))[1] as path,
                            (array_agg(s.root order by s.source_id, i.path))[1] as root, count(*) as copies
                       from leasehold.item i join leasehold.source s using (source_id)
                      where i.document_id = f.document_id and s.collection_id = d.collection_id
                        and (%(items)s::bigint[] is null or i.item_id = any (%(items)s))) p
 where p.copies > 0
 order by f.score desc, p.path, p.root, f.ordinal limit %(limit)s
