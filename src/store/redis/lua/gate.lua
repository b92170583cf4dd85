-- Before a batch is applied: is this the server, the term and the making that its sender saw? After it: the reply and the
-- write phase. The aggregate's own part stands between and gives `aggregate`:
--
--   apply()            takes its commands from the arguments: one tell() each; sets `changed` if anything did
--   head()             the line that shows the aggregate after the batch; '-' if it does not exist
--   exists()           whether it does
--   replay()           takes rows from the arguments
--   recovered(heard, term)
--                      applies what was replayed; `heard` is true at the end of a recovery in which every instance was
--                      heard, false where one was not, nil for who comes late to an aggregate in service; `term` is
--                      the one that begins
--   commit()           writes
--   is_allowed_lost()  whether the batch may be applied to an aggregate that waits for its operator
--   can_be_lost        whether what nobody remembers any more makes it wait for its operator

-- How long others are waited for after a loss.
local RECOVERY_MS = 5000
-- Whoever changed something in this time may remember what the store has lost.
local HEARD_MS = 90000
-- Rows of instances unseen for so long are pruned.
local PRUNE_MS = 600000
-- The clock's skew after a change of server wears off by one part in so many.
local WEAR = 20
local SKEW_MAX_MS = 86400000

local function server_ms()
  if clock ~= '' then return tonumber(clock) end
  local time = redis.call('TIME')
  return time[1] * 1000 + div(tonumber(time[2]), 1000)
end

local function stamp()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or '?'
end

local server_now = server_ms()

-- The store's time: the server's, and what is left of the skew to the server before it.
local function store_now()
  local skew = main:num('skew') or 0
  if skew == 0 then return server_now end
  local worn = div(math.max(server_now - main:num('skew_at'), 0), WEAR)
  if skew > 0 then return server_now + math.max(skew - worn, 0) end
  return server_now + math.min(skew + worn, 0)
end

local function status(word)
  return table.concat({ word, main:get('term') or '0', main:get('made') or '-', main:get('seq') or '0', fmt(now or server_now) }, ' ')
end

-- How a term begins, and how a recovery goes.
local loss = part(function(loss)
  -- A term has a name of its own, because two servers that lost the same may each begin the next one.
  local function name_term(term)
    main:put('term', term)
    main:set('stamp', stamp())
    main:set('made', fmt(server_now) .. '-' .. instance .. '-' .. string.sub(main:get('stamp'), 1, 8))
  end

  function loss.begin_recovery(term)
    -- Where a recovery was under way, what was lost before it is lost still.
    if main:get('phase') ~= 'recovering' then
      main:set('fork', (main:get('term') or '0') .. ' ' .. (main:get('seq') or '0'))
    end
    name_term(term)
    main:set('phase', 'recovering')
    main:put('until', server_now + RECOVERY_MS)
    main:set('done', '')
    main:set('peers', '')
    if clock == '' and reckoned > 0 then
      local skew = reckoned - server_now
      main:put('skew', math.max(-SKEW_MAX_MS, math.min(skew, SKEW_MAX_MS)))
      main:put('skew_at', server_now)
    end
  end

  -- The term and the batch that the server was at when it took over.
  local function fork()
    local mark = words(main:get('fork') or '')
    return tonumber(mark[1]), tonumber(mark[2])
  end

  -- Whether all whose memory may hold what was lost have told it.
  local function all_heard()
    -- Whoever is done has brought the names of the others.
    if main:get('done') == '' then return false end
    local done = ' ' .. main:get('done') .. ' '
    local asked = redis.call('ZRANGEBYSCORE', seen_key, fmt(store_now() - HEARD_MS), '(inf')
    for _, peer in ipairs(words(main:get('peers'))) do asked[#asked + 1] = peer end
    for _, peer in ipairs(asked) do
      if peer ~= '' and not string.find(done, ' ' .. peer .. ' ', 1, true) then return false end
    end
    return true
  end

  -- Adds words to a field of the main hash, each once.
  function loss.note_words(field, more)
    local have = ' ' .. (main:get(field) or '') .. ' '
    for _, word in ipairs(words(more)) do
      if not string.find(have, ' ' .. word .. ' ', 1, true) then have = have .. word .. ' ' end
    end
    main:set(field, string.match(have, '^%s*(.-)%s*$'))
  end

  -- A sender has told all it remembers. Where the store has lost more than that, nobody can say what.
  function loss.note_done(was_open)
    if not was_open then loss.note_words('done', instance) end
    local term, seq = num(), num() -- the last batch of which the sender remembers something no more
    local fork_term, fork_seq = fork()
    local is_beyond = fork_term and (term > fork_term or (term == fork_term and seq > fork_seq))
    if aggregate.can_be_lost and is_beyond then
      main:set('lost', '1')
      if was_open then main:set('phase', 'lost') end
    end
  end

  -- Ends the recovery if it is time.
  function loss.end_recovery()
    local heard = all_heard()
    if not heard and server_now < main:num('until') then return false end
    main:set('phase', main:get('lost') and 'lost' or 'open')
    now = math.max(store_now(), main:num('last') or 0, floor)
    aggregate.recovered(heard, main:num('term'))
    changed = true
    return true
  end

  -- The header of an aggregate that is made now.
  function loss.make_header(term)
    is_new = true
    main:set('layout', LAYOUT)
    name_term(term)
    main:set('seq', '0')
    main:set('phase', 'open')
  end
end)

-- The write phase of what every aggregate has: no read, no branch on what it reads, nothing that can fail.
local function commit()
  if is_new then
    redis.call('HSET', sent_key, LAST, '')
    redis.call('ZADD', seen_key, 'inf', LAST)
    redis.call('HSET', staged_key, LAST, '')
  end
  main:commit()
end
