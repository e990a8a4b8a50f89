select count(*) from pgqueuer where status in ('queued', 'picked')
