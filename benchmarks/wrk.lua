-- Asks for random lines of the file in its argument, and writes what happened as one line of JSON.

local paths = {}

function init(args)
   math.randomseed(os.time())
   for path in io.lines(args[1]) do
      paths[#paths + 1] = wrk.format("GET", path)
   end
end

function request()
   return paths[math.random(#paths)]
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      '\n{"requests":%d,"seconds":%.6f,"size_bytes":%d,"failed":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
      summary.requests, summary.duration / 1e6, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
