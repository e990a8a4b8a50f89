"""Metrics: what workers did and how the queue stands, for Prometheus.

Two sorts, which must not be mixed up. What a *worker* did is counted by it (`worker.tallies`) and differs from worker
to worker: add them up. What is true of the *queue* is read from its rows at the moment somebody asks, so it cannot
drift, and is the same whichever worker is asked: take one, or the greatest.

`families` names every metric; `collector` fills them; `queue` reads the rows, at most a twentieth of the time; `server`
answers at `/metrics`, on the loopback address unless told otherwise. Needs `leasehold[metrics]`.

Not here: counting (worker.tallies), and anything that decides by a number.
"""

from leasehold.metrics.collector import Collector
from leasehold.metrics.server import Server, serve
from leasehold.worker.tallies import Metrics, Tallies

__all__ = ["Collector", "Metrics", "Server", "Tallies", "serve"]
