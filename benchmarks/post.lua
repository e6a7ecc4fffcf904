-- Posts random points to the first line of the file in its argument.

require "report"

local path = "/"

function init(args)
   math.randomseed(os.time())
   for line in io.lines(args[1]) do
      path = line
   end
end

function request()
   local x, y = math.random(-180000, 180000), math.random(-90000, 90000)
   local body = string.format(
      '{"type":"Feature","geometry":{"type":"Point","coordinates":[%.3f,%.3f]},"properties":{"name":"a name","number":%d}}',
      x / 1000, y / 1000, x)
   return wrk.format("POST", path, {["Content-Type"] = "application/geo+json"}, body)
end
