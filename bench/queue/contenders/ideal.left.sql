select count(*) from job where state < 2
