-- name: check.server
-- description: what the doctor wants to know of the server and of its own role, one JSON object
SELECT json_build_object(
  'version', current_setting('server_version_num')::int,
  'postgis', (SELECT extversion FROM pg_extension WHERE extname = 'postgis'),
  'postgis_available', (SELECT default_version FROM pg_available_extensions WHERE name = 'postgis'),
  'role', current_user,
  'superuser', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
  'in_recovery', pg_is_in_recovery(),
  'max_connections', current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
  'pid', pg_backend_pid(),
  'now', extract(epoch FROM clock_timestamp())::float8
)::text AS server
