-- For wrk: each request triggers another pipeline, under a key of its own. Arguments: the token, the number of the first
-- pipeline, how many there are (after the last one the first comes again, under its key), and how many milliseconds a
-- connection rests between two requests.
local token, first, count, rest_ms, asked

function init(args)
  token, first, count, rest_ms, asked = args[1], tonumber(args[2]), tonumber(args[3]), tonumber(args[4]), 0
end

-- Not all at once: each rests up to twice as long.
function delay()
  return math.random(0, 2 * rest_ms)
end

function request()
  local name = "p" .. (first + asked % count)
  asked = asked + 1
  local headers = { authorization = "Bearer " .. token, ["idempotency-key"] = name }
  return wrk.format("POST", "/v1/pipelines/" .. name .. "/runs", headers)
end
