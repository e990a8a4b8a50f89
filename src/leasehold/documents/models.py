"""Models: which embedder a collection has, and that it never gets vectors of two.

What holds the truth is the collection's row: name, version and width of its embedder. A collection that has been filled
keeps them; another embedder is refused with what to do instead. For a model behind an address the width is not known
before it was asked, so an ingest asks for one vector before anything is written or paid for.
"""

from __future__ import annotations

from array import array
from dataclasses import fields, replace

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.documents import sync
from leasehold.documents.recipes import Parameters
from leasehold.documents.rows import PACKAGE
from leasehold.errors import ModelUnavailable, NotFound, OtherEmbedder, UsageError
from leasehold.options import ChunkOptions, EmbedOptions
from leasehold.steps.embedders import HASHING, Embedder, named, open_embedder, place_of, version_of
from leasehold.steps.embedding import HashingEmbedder
from leasehold.steps.remote_embedding import RemoteEmbedder
from leasehold.types import ErrorClass, StepError

DOCLING = frozenset({"readers.docling.urls", "readers.docling.types", "readers.docling.ocr"})
"""Settings that say what docling reads of a collection."""
NOT_HERE_S = 30.0
"""A step waits this long for another worker when this one lacks what its embedder needs."""


class Models:
    """The embedders of one process, opened when first needed."""

    def __init__(self, options: EmbedOptions) -> None:
        self._options = options
        self._opened: dict[tuple[str, str, int], Embedder] = {}

    def of(self, parameters: Parameters) -> Embedder:
        """The embedder for items of these parameters.

        Raises:
            StepError: this process cannot open it; another one may.
        """
        key = (parameters.embedder, parameters.place, parameters.dimensions)
        if key not in self._opened:
            try:
                self._opened[key] = self._open(parameters)
            except UsageError as error:
                raise StepError("its embedder is not available here", error.message, remedy=error.remedy,
                                error_class=ErrorClass.RESOURCE, retry_after_s=NOT_HERE_S) from error  # fmt: skip
        return self._opened[key]

    def _open(self, parameters: Parameters) -> Embedder:
        name = parameters.embedder
        place = place_of(name, self._options, parameters.place)
        return open_embedder(
            name, parameters.embedder_version, self._options, place=place, dimensions=parameters.dimensions
        )

    # -- before an ingest ---------------------------------------------------------------------------------------------

    def settle(
        self, session: Session, collection: str, parameters: Parameters, given: frozenset[str] | None = None
    ) -> Parameters:
        """*parameters* with the collection's embedder; for a new collection with the one that was asked for.

        Of chunking, what is not *given* (names like "chunk.size"; None: all are) stays as the collection has it.

        A model behind an address is asked for a vector, so that its width and its key are known to be right before
        anything is written.

        Raises:
            OtherEmbedder: the collection has vectors of another one.
            ModelUnavailable: the model did not answer as it should.
        """
        try:
            has: Parameters | None = sync.find_collection(session, collection).parameters
        except NotFound:
            has = None
        parameters = kept(has, parameters, given)
        wanted = self._wanted(has, parameters, filled=has is not None and _is_filled(session, collection))
        if wanted.embedder != HASHING:
            wanted = self._probed(wanted, has)
        return wanted

    def planned(
        self,
        session: Session,
        collection: sync.Collection | None,
        parameters: Parameters,
        given: frozenset[str] | None = None,
    ) -> Parameters:
        """As `settle`, without asking a model: a plan talks to nobody, and a new collection's width does not matter."""
        filled = collection is not None and _is_filled(session, collection.name)
        has = collection.parameters if collection else None
        return self._wanted(has, kept(has, parameters, given), filled=filled)

    def _wanted(self, has: Parameters | None, parameters: Parameters, *, filled: bool) -> Parameters:
        options = self._options
        name, place = named(options.embedder) if options.embedder else (has.embedder if has else HASHING, "")
        if has is not None and filled and name != has.embedder:
            raise OtherEmbedder(
                f"The collection holds vectors of '{has.embedder}' ({has.dimensions} numbers), not of '{name}'."
            )
        known = has is not None and name == has.embedder
        place = place or options.base_url or (has.place if has and known else "")
        version = version_of(name, place)
        if has is not None and filled and name != HASHING and version != has.embedder_version:
            raise OtherEmbedder(f"The collection holds vectors of another '{name}' than the one in {place}.")
        width = HashingEmbedder.dimensions if name == HASHING else options.dimensions
        if has is not None and known and filled:
            width = has.dimensions
        return replace(parameters, embedder=name, embedder_version=version, dimensions=width,
                       place="" if name == HASHING else place)  # fmt: skip

    def _probed(self, wanted: Parameters, has: Parameters | None) -> Parameters:
        embedder = self._open(wanted)
        if not isinstance(embedder, RemoteEmbedder):
            return replace(wanted, dimensions=embedder.dimensions)
        try:
            width = embedder.probe()
        except StepError as error:
            if wanted.dimensions and error.error_class is ErrorClass.RESOURCE:
                return wanted  # busy now: its steps will wait
            raise _unavailable(wanted.embedder, error) from error
        finally:
            embedder.close()
        return replace(wanted, dimensions=width)

    # -- for a search -------------------------------------------------------------------------------------------------

    def question(self, parameters: Parameters, question: str) -> array[float]:
        """The question's vector.

        Raises:
            ModelUnavailable: the collection's model did not embed it.
            UsageError: what the embedder needs is not installed.
        """
        try:
            return self._open(parameters).embed([question])[0]
        except StepError as error:
            raise _unavailable(parameters.embedder, error) from error


def kept(has: Parameters | None, parameters: Parameters, given: frozenset[str] | None) -> Parameters:
    """*parameters*, with the collection's own chunking, and its own readers, wherever others were not *given*."""
    if has is None or given is None:
        return parameters
    mine = {
        one.name: getattr(parameters.chunk, one.name) for one in fields(ChunkOptions) if f"chunk.{one.name}" in given
    }
    docling = parameters.docling if given & DOCLING else has.docling
    return replace(parameters, chunk=replace(has.chunk, **mine), docling=docling)


def _is_filled(session: Session, collection: str) -> bool:
    return bool(session.fetch(load(PACKAGE, "collection_filled"), (collection,))[0][0])


def _unavailable(name: str, error: StepError) -> ModelUnavailable:
    detail = f" ({error.detail})" if error.detail else ""
    return ModelUnavailable(f"{name}: {error.reason}{detail}.", remedy=error.remedy or None)
