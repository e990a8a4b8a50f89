-- The size of this database, and where the server keeps its data: null for a role that may not know.
select pg_database_size(current_database()),
       (select s.setting from pg_settings s where s.name = 'data_directory')
