copy leasehold.chunk (collection_id, document_id, ordinal, text, line_start, line_end, heading, place, embedding)
from stdin (format binary)
