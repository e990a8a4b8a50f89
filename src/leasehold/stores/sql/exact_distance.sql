(1 - (select sum(x.a * x.b) from unnest(c.embedding, %(vector)s::real[]) x(a, b)))
