-- What is known of one user.
--
-- KEYS  1: nodes   2: the user's devices   3: when the user was last seen
-- Answers {1} if a device is there, else {0, ms since 1970} or {0} for a user that was never seen.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(redis.call('GET', KEYS[3]) or 0)
for _, node in ipairs(redis.call('HVALS', KEYS[2])) do
  local till = tonumber(redis.call('ZSCORE', KEYS[1], node) or 0)
  if till > now then return {1} end
  if till > last then last = till end
end
if last > 0 then return {0, last} end
return {0}
