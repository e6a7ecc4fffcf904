-- name: feed.server
-- description: what tells this change log from any other, and whether the server is a standby; the log is null where it is not there
SELECT to_regclass('geosvc.change')::oid::int8 AS log, pg_is_in_recovery() AS standby,
       concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
                 (SELECT oid FROM pg_database WHERE datname = current_database()), to_regclass('geosvc.change')::oid,
                 CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
                 ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int4 END) AS identity
