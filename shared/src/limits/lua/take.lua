-- Takes one place in an exact sliding window.
--
-- KEYS  1: the window (sorted set: token -> when it passed, us of this server)
-- ARGV  1: token   2: how many may pass   3: length of the window, us
-- Answers {1, how many more would pass} or {0, us until one could}.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local max = tonumber(ARGV[2])
local window = tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local count = redis.call('ZCARD', KEYS[1])
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return {1, math.max(max - count, 0)} end
if count < max then
  redis.call('ZADD', KEYS[1], now, ARGV[1])
  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
  return {1, max - count - 1}
end
-- The place that has to get free is not the oldest if the limit was lowered meanwhile.
local blocking = redis.call('ZRANGE', KEYS[1], count - max, count - max, 'WITHSCORES')
if not blocking[2] then return {0, window} end
return {0, math.max(tonumber(blocking[2]) + window - now, 1)}
