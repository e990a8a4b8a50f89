-- Chunk place: where in its file a chunk stands, when a line does not say it.
--
-- Works with programs from 0002: they write no places, and show none.

-- Pairs of kind and value, from the outside inwards: [["member", "a.eml"], ["page", 3], ["box", [72, 90, 300, 120]]].
-- Null for plain text, which it costs nothing.
alter table leasehold.chunk add column place jsonb;
