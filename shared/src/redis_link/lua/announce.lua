-- Raises announced heads; a lower one never replaces a higher one.
--
-- KEYS  one per stream: the announced head (all of one slot)
-- ARGV  1: seconds to keep it; then one per stream, in the order of KEYS: the head
-- Answers nothing of interest.
for index, key in ipairs(KEYS) do
  local head = ARGV[index + 1]
  local known = redis.call('GET', key)
  if not known or tonumber(known) <= tonumber(head) then
    redis.call('SET', key, head, 'EX', ARGV[1])
  end
end
return 0
