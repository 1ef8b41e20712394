-- For wrk: each request triggers another pipeline, under a key of its own. Arguments: the token, the number of the first
-- pipeline, and how many there are; after the last one the first comes again, under its key.
local token, first, count, asked

function init(args)
  token, first, count, asked = args[1], tonumber(args[2]), tonumber(args[3]), 0
end

function request()
  local name = "p" .. (first + asked % count)
  asked = asked + 1
  local headers = { authorization = "Bearer " .. token, ["idempotency-key"] = name }
  return wrk.format("POST", "/v1/pipelines/" .. name .. "/runs", headers)
end
