-- Posts random points to the first line of the file in its argument, and writes what happened as one line of JSON.

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

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      '\n{"requests":%d,"seconds":%.6f,"size_bytes":%d,"failed":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
      summary.requests, summary.duration / 1e6, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
