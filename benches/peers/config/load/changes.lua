-- Renames, each of another group than the last @GROUPS@, and each to a new name. The threads begin far from
-- each other.
local threads = 0

function setup(thread)
   thread:set("number", math.floor(threads * @GROUPS@ / @THREADS@))
   threads = threads + 1
end

function request()
   number = number + 1
   local path = wrk.path .. (@FIRST@ + number % @GROUPS@)
   return wrk.format("PUT", path, nil, string.format('{"name":"Brand %d"}', number))
end
