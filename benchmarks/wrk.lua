-- Asks for random lines of the file in its argument.

require "report"

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
