-- Document notes: what of a stored document was not read, or not exactly; one per line, empty for most.
--
-- Works with programs from 0002: they write no notes, and show none.

alter table leasehold.collection_document add column notes text not null default '';

create index collection_document_notes_ix on leasehold.collection_document (collection_id) where notes <> '';
