-- name: connection.settings
-- description: which of these settings the server knows, and what they are in this session
-- $1: text[]  names of settings
SELECT each.name, current_setting(each.name, true) FROM unnest($1::text[]) AS each(name) WHERE current_setting(each.name, true) IS NOT NULL
