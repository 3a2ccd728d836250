-- Takes one device back, if this incarnation registered it.
--
-- KEYS  1: nodes   2: the node's devices   3: the user's devices   4: when the user was last seen
--       5: the user's connections that are not leaving   6: how many users of the partition have devices
-- ARGV  1: incarnation   2: connection   3: the device as the node's devices name it
--       4: 'dead' to do nothing unless the incarnation's heartbeat is over, else 'any'
-- Answers 1 if the user went offline by it, else 0.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function till(node)
  return tonumber(redis.call('ZSCORE', KEYS[1], node) or 0)
end
local own = till(ARGV[1])
if ARGV[4] == 'dead' and own > now then return 0 end
redis.call('SREM', KEYS[2], ARGV[3])
if redis.call('HGET', KEYS[3], ARGV[2]) ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[3], ARGV[2])
redis.call('ZREM', KEYS[5], ARGV[2])
for _, node in ipairs(redis.call('HVALS', KEYS[3])) do
  if till(node) > now then return 0 end
end
-- What dead incarnations left goes too, so that nobody reports this user a second time.
redis.call('DEL', KEYS[3], KEYS[5])
redis.call('DECR', KEYS[6])
local seen = now
if ARGV[4] == 'dead' and own > 0 then seen = own end
redis.call('SET', KEYS[4], seen)
return 1
