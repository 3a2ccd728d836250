-- Registers one device.
--
-- KEYS  1: nodes   2: unknown   3: born   4: the node's devices   5: the user's devices (hash: connection -> incarnation)
--       6: the user's connections that are not leaving (sorted set: connection -> when it came, us of this server)
--       7: how many users of the partition have devices
-- ARGV  1: incarnation   2: lease, ms   3: connection   4: the device as the node's devices name it
--       5: how many devices a user may have
-- Answers {1 if the user came online with it, else 0; the oldest connections, as many as are too many}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = {}
local function alive(node)
  if known[node] == nil then
    local till = redis.call('ZSCORE', KEYS[1], node)
    known[node] = till and tonumber(till) > now or false
  end
  return known[node]
end
local online = 0
local devices = redis.call('HVALS', KEYS[5])
for _, node in ipairs(devices) do
  if alive(node) then online = 1 break end
end
if #devices == 0 then redis.call('INCR', KEYS[7]) end
if not alive(ARGV[1]) then
  -- The node's lease was lost; the device counts, and the node's next heartbeat tells it to register the others.
  redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
  redis.call('SADD', KEYS[2], ARGV[1])
  redis.call('SET', KEYS[3], now, 'NX')
  known[ARGV[1]] = true
end
redis.call('SADD', KEYS[4], ARGV[4])
redis.call('HSET', KEYS[5], ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[6], 'NX', time[1] * 1000000 + time[2], ARGV[3])
local most = tonumber(ARGV[5])
local surplus = {}
if redis.call('ZCARD', KEYS[6]) > most then
  local standing = {}
  for _, connection in ipairs(redis.call('ZRANGE', KEYS[6], 0, -1)) do
    local node = redis.call('HGET', KEYS[5], connection)
    if node and alive(node) then standing[#standing + 1] = connection end
  end
  for i = 1, #standing - most do surplus[i] = standing[i] end
end
return {1 - online, surplus}
