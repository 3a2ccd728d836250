-- The incarnations of one partition whose heartbeat is over.
--
-- KEYS  1: nodes   2: born
-- ARGV  1: how old the partition's data must be, ms, for anyone to be called dead
-- Answers their names; none while the data is younger, as after a loss the living have yet to register.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local born = redis.call('GET', KEYS[2])
if not born then
  redis.call('SET', KEYS[2], now)
  return {}
end
if now - born < tonumber(ARGV[1]) then return {} end
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)
