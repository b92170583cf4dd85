-- The tick: sessions end, calls lapse, credit grows, the head moves.

-- What the room is doing. A closed room is closed whatever else, then the opening comes before the mode.
function line.phase(at)
  if rules.mode == 'closed' or (rules.closes and rules.closes <= at) then return 'closed' end
  if rules.opens and at < rules.opens then return 'scheduled' end
  if rules.mode == 'open' then return 'free' end
  if rules.mode == 'hold' then return 'paused' end
  return 'running'
end

-- Positions called whose visitors may still claim.
function line.outstanding() return room.head - room.entered - room.lapsed end

-- So many positions are issued.
function line.issue(count)
  room.tail = room.tail + count
  room.joins = room.joins + count
end

-- How many stand before a position beyond the head: a void holds nobody.
function line.ahead(position)
  local between = position - 1 - room.head
  return room.voids and between - voids.count(room.head + 1, position - 1) or between
end

---------------------------------------------------------------- how many may be called

-- Units of credit that may still grow before this much credit and the outstanding calls reach the ceiling. Where the
-- product is no more exact it is far above the ceiling.
function line.units_to_ceiling_of(credit)
  return math.max(rules.ceiling - (line.outstanding() * BOUND.PERMIT + credit), 0)
end

-- How many more may be called before sessions and unclaimed calls reach the cap.
function line.spare_places()
  if not rules.cap then return math.huge end
  return math.max(rules.cap - (due:count() + line.outstanding()), 0)
end

-- How many more may be called for the units there are.
function line.spare_units(at)
  if rules.gate ~= 'hold' then return math.huge end
  local stock = room.stock
  if not stock or at >= stock.at + BOUND.STOCK_STALE_MS or stock.phase ~= 'open' then return 0 end
  return math.max(stock.available - line.outstanding() - undecided:count(), 0)
end

-- How many may be called with this much credit, by the cap and the units there are.
function line.callable_by_all(credit)
  return math.min(div(credit, BOUND.PERMIT), line.spare_places(), line.spare_units(now))
end

-- How many of those in line may be: one less while a permit is owed.
function line.callable(credit)
  return math.max(line.callable_by_all(credit) - (now < room.owed and 1 or 0), 0)
end

-- Credit after some growth: not above the ceiling less what is outstanding, and not above what may stand ready plus a
-- second's growth, so that a room nobody ticked does not pour out the gap. Where the product is no more exact it is far
-- above that.
function line.grown(credit, ms)
  local gap = rules.ready + math.max(rules.ready, rules.rate * BOUND.GROWTH_MS)
  return math.max(credit, math.min(credit + rules.rate * ms, gap, line.units_to_ceiling_of(0)))
end

-- The credit now, grown since the last change; growth across the opening is split there.
function line.credit_now()
  local opens = rules.opens
  if not opens or room.last >= opens or opens > now then return line.grown(room.credit, now - room.last) end
  local held = math.min(line.grown(room.credit, opens - room.last), rules.ready)
  return line.grown(held, now - opens)
end

---------------------------------------------------------------- the line's past

-- Until when, after the last change, the stock let the line move.
function line.stocked_until()
  if rules.gate ~= 'hold' then return math.huge end
  if room.stock and line.spare_units(room.last) > 0 then return room.stock.at + BOUND.STOCK_STALE_MS end
  return room.last
end

-- For how long since the last change the line was to move.
function line.moving_ms()
  if rules.mode ~= 'queue' then return 0 end
  local from = math.max(rules.opens or 0, room.last)
  return math.max(math.min(rules.closes or now, now, line.stocked_until()) - from, 0)
end

-- Where the head stands, if a line stands behind it and has been moving.
function line.mark()
  if room.head >= room.tail or line.phase(room.last) ~= 'running' then return nil end
  return room.last < line.stocked_until() and room.head or nil
end

-- Notes how far the head of a standing line moved, voids aside.
function line.observe(before)
  if not before then return end
  local void = room.voids and voids.count(before + 1, room.head) or 0
  observed.moved(math.max(room.head - before - void, 0))
end

---------------------------------------------------------------- the steps

-- Whether anybody would be called, or passed over, now.
function line.would_call()
  if room.head >= room.tail then return false end
  local phase = line.phase(now)
  if phase == 'free' then return true end
  if phase ~= 'running' then return false end
  local _, next_left = left:first()
  if next_left == room.head + 1 or (room.voids and voids.of(room.head + 1)) then return true end
  return line.callable(line.credit_now()) > 0
end

-- Counts outstanding positions as lapsed and takes their permits back, never above the ceiling.
function line.lapse(count, permit)
  room.lapsed = room.lapsed + count
  if permit then
    local returned = math.min(room.credit + count * BOUND.PERMIT, line.units_to_ceiling_of(0))
    room.credit = math.max(room.credit, returned)
  end
end

-- Takes those out of the waiting part who stand in it no more; says how many of them stand at `first` or after.
function line.drop_left(first)
  local member, position = left:first()
  local count = 0
  while member and position <= room.head do
    left:remove(member)
    if position >= first then count = count + 1 end
    member, position = left:first()
  end
  return count
end

-- Moves the head over up to `limit` positions that wait, and over any given back among and right after them and over what
-- the tail has jumped, which take no permit. Returns how many were called.
function line.pass_over(limit, permit)
  local called = 0
  while room.head < room.tail do
    local void = room.voids and voids.of(room.head + 1)
    if void then
      local last = math.min(void[2], room.tail)
      room.lapsed = room.lapsed + last - room.head
      room.head = last
      line.drop_left(0)
    else
      local next = room.voids and voids.after(room.head)
      local stop = next and math.min(room.tail, next[1] - 1) or room.tail
      called = called + line.pass_to(stop, limit - called, permit)
      if room.head < stop then break end
    end
  end
  return called
end

-- The same as far as `stop`, with no jump before it.
function line.pass_to(stop, limit, permit)
  local start, called, gone = room.head, 0, 0
  while room.head < stop do
    local member, next_left = left:first()
    while next_left == room.head + 1 and next_left <= stop do
      left:remove(member)
      gone = gone + 1
      room.head = next_left
      member, next_left = left:first()
    end
    if room.head == stop or called == limit then break end
    local taken = math.min(math.min(next_left or NEVER, stop + 1) - 1 - room.head, limit - called)
    room.head = room.head + taken
    called = called + taken
  end
  room.lapsed = room.lapsed + gone
  if called > 0 then calls.add(start + 1, room.head, gone, permit) end
  return called
end

-- Everybody is called: the same at once, however many there are.
function line.pass_all()
  if room.head == room.tail then return end
  if room.voids then return line.pass_over(math.huge, false) end
  local start, gone = room.head, left:count()
  if gone > 0 then left:clear() end
  room.lapsed = room.lapsed + gone
  room.head = room.tail
  if room.head - start > gone then calls.add(start + 1, room.head, gone, false) end
end

-- Moves the head as far as permits, cap and mode allow, and cuts the credit nobody waited for.
function line.advance()
  local phase = line.phase(now)
  if phase == 'running' then
    if room.head < room.tail then
      local called = line.pass_over(line.callable(room.credit), true)
      room.credit = room.credit - called * BOUND.PERMIT
    end
  elseif phase == 'free' then
    line.pass_all()
  end
  room.credit = math.min(room.credit, rules.ready)
end

-- Twice at one time is once: whether it was done in this call, so that a batch does it once and not for each command.
local is_settled = false

function line.unsettle() is_settled = false end

-- Whether a time has come that stands in a set.
local function is_due(set)
  local member, at_ms = set:first()
  return member and at_ms <= now
end

local function are_sessions_due() return is_due(due) or is_due(undecided) end

-- The tick, credit and clock included, with something learned before anybody is called.
function line.settle(learn)
  changed = true
  if is_settled and not learn then return end
  is_settled = true
  if room.head < room.tail then observed.stood(line.moving_ms()) end
  local before = line.mark()
  if are_sessions_due() then inside.end_due() end
  while is_due(calls_due) do
    local call, unclaimed = calls.pop_due()
    line.lapse(unclaimed, call.permit)
  end
  room.credit = line.credit_now()
  room.last = now
  if learn then learn() end
  line.advance()
  line.observe(before)
end

-- Brings the room to now, if anything but credit would change.
function line.tick()
  if not is_settled and (are_sessions_due() or is_due(calls_due) or line.would_call()) then line.settle() end
end

-- Ticks whole, changes the room, and lets the head move on what the change has made free.
function line.change(act)
  line.settle()
  local before = line.mark()
  act()
  line.advance()
  line.observe(before)
end
