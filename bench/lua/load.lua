-- Sends what a file holds: whole requests, separated by NUL. Arguments: the file, "pick" or "make", the first number,
-- how many numbers a request takes, and "errors" when an answer of 200 may hold an error.
--
-- pick: the requests, one after the other. make: each has marks of twelve @, which become new numbers; the requests take
-- turns, the n-th being of the n-th tenant.

local requests, position, step = {}, 0, 1
local next_number, per
bad = 0

function setup(thread)
  threads = threads or {}
  table.insert(threads, thread)
  thread:set("place", #threads)
end

local function cut(text)
  local parts, from = {}, 1
  while true do
    local at = text:find("@@@@@@@@@@@@", from, true)
    if not at then break end
    parts[#parts + 1] = text:sub(from, at - 1)
    from = at + 12
  end
  parts[#parts + 1] = text:sub(from)
  return parts
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local all = file:read("*a")
  file:close()
  for text in all:gmatch("[^%z]+") do requests[#requests + 1] = text end
  if args[2] == "make" then
    next_number, per = tonumber(args[3]), tonumber(args[4])
    for i, text in ipairs(requests) do requests[i] = cut(text) end
    request = make
  else
    -- Not from the first on, so that two runs do not ask for the same things in the same order.
    position = math.random(#requests)
    request = pick
  end
  if args[5] == "errors" then
    response = function(_, _, body)
      if body:find('"errors"', 1, true) then bad = bad + 1 end
    end
  end
end

function pick()
  position = position % #requests + 1
  return requests[position]
end

function make()
  local parts = requests[position % #requests + 1]
  position = position + 1
  local out = { parts[1] }
  for i = 2, #parts do
    out[#out + 1] = string.format("%012d", next_number + i - 2)
    out[#out + 1] = parts[i]
  end
  next_number = next_number + per
  return table.concat(out)
end

function done(summary, latency)
  local failed = 0
  for _, thread in ipairs(threads) do failed = failed + (thread:get("bad") or 0) end
  local e = summary.errors
  io.write(string.format(
    'JSON {"requests":%d,"seconds":%f,"bytes":%d,"status":%d,"socket":%d,"timeout":%d,"bad":%d,"p50":%f,"p99":%f,"p999":%f}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, e.status, e.connect + e.read + e.write, e.timeout, failed,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3))
end
