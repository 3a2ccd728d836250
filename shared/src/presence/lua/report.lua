-- Keeps what an incarnation says of itself.
--
-- KEYS  1: reports
-- ARGV  1: incarnation   2: report
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
