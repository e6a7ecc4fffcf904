-- name: operations.work_mem
-- description: how many bytes a sort may take before it goes to disk
SELECT (setting::int8 * 1024) AS bytes FROM pg_settings WHERE name = 'work_mem'
