-- For this session's builds: a graph that does not fit is built many times slower. 100,000 vectors of 384 need 250 MB.
set maintenance_work_mem = '512MB'
