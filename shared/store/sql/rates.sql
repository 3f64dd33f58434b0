-- Token buckets: what a limited lane or account may still send. A bucket begins full.

-- name: refill
INSERT INTO rate_level AS l (key, level, refilled_at)
SELECT asked.key, asked.most, clock_timestamp()
FROM unnest(%(keys)s::text[], %(per_s)s::float8[], %(most)s::float8[]) AS asked (key, per_s, most)
ON CONFLICT (key) DO UPDATE SET
  level = least(
    (SELECT asked.most FROM unnest(%(keys)s::text[], %(most)s::float8[]) AS asked (key, most) WHERE asked.key = l.key),
    l.level + extract(epoch FROM clock_timestamp() - l.refilled_at)::float8
      * (SELECT asked.per_s FROM unnest(%(keys)s::text[], %(per_s)s::float8[]) AS asked (key, per_s)
         WHERE asked.key = l.key)),
  refilled_at = clock_timestamp()
RETURNING key, level;

-- name: write
UPDATE rate_level l SET level = spent.level
FROM unnest(%(keys)s::text[], %(levels)s::float8[]) AS spent (key, level)
WHERE l.key = spent.key;
