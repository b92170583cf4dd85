-- Reserve: check everything, then write everything.

local reserve = {}

-- Whether the sale sells.
local function is_open(rules)
  return not (rules.closes and rules.closes <= now) and not (rules.opens and now < rules.opens)
end

-- Whether holds that are due have not been expired yet: what they hold is not lost.
function reserve.is_behind()
  local id, deadline = shelf.due:first()
  return id ~= nil and deadline <= now
end

local function has_pass(ask, rules)
  if ask.caller == 'shop' or not rules.has_rooms then return true end
  return ask.caller == 'pass' and rules.rooms[ask.room] == true and now < ask.deadline
end

-- The units that come back when the hold named by `replaces` makes way, by SKU; or a refusal.
local function replaced(ask)
  if not ask.replaces then return NOTHING end
  local given, record = {}, book.record(ask.replaces)
  if not record or record.buyer ~= ask.buyer or ask.buyer == '-' then return nil, 'x unknown_reservation' end
  if record.state == 'C' then return nil, 'x conflict the reservation to replace is confirmed' end
  if record.state == 'H' and now < record.at then
    for i = 1, #record.lines, 2 do given[record.lines[i]] = record.lines[i + 1] end
  end
  return given
end

local function none_of() return { total = 0, available = 0, held = 0, sold = 0 } end

-- What stands in the way of taking these units while `given` return; nil if nothing does.
function reserve.shortages(units, given)
  local short, n = '', 0
  for i = 1, #units, 2 do
    local sku, wanted = units[i], units[i + 1]
    local stock = book.stocks[sku] or book.stock(sku) or none_of()
    if stock.available + (given[sku] or 0) < wanted then
      n = n + 1
      short = table.concat({ short, sku, fmt(wanted), fmt(stock.available), fmt(stock.held) }, ' ')
    end
  end
  return n > 0 and 'x sold_out ' .. fmt(n) .. short or nil
end

-- The limits by buyer, held and sold counted: a SKU's own and the sale's. A refusal, or nil.
function reserve.limits(buyer, units, given)
  local count, all = book.count(buyer), 0
  for i = 1, #units, 2 do
    local sku, wanted = units[i], units[i + 1]
    all = all + wanted
    local stock = book.stocks[sku] or book.stock(sku)
    local limit = stock and stock.per_buyer
    if limit then
      local used = math.max((count and count.units[sku] or 0) - (given[sku] or 0), 0)
      if used + wanted > limit then return table.concat({ 'x limit', fmt(limit), fmt(used), 'sku', sku }, ' ') end
    end
  end
  local limit = book.rules().max_units
  if limit then
    local back = 0
    for _, n in pairs(given) do back = back + n end
    local used = math.max((count and count.all or 0) - back, 0)
    if used + all > limit then return table.concat({ 'x limit', fmt(limit), fmt(used), 'units' }, ' ') end
  end
end

local function grants(buyer)
  local count = book.counts[buyer] or book.count(buyer)
  if count and count.grants >= BOUND.grants then
    return table.concat({ 'x limit', fmt(BOUND.grants), fmt(count.grants), 'grants' }, ' ')
  end
end

-- 'seen' if the key was seen with this body; 'granted' and for how long; or nil, a refusal, and whether what is due and not
-- yet expired may be just what is missing.
local function check(ask)
  local units = ask.units
  if units.bad then return nil, units.bad end
  local seen = book.record(ask.id)
  if seen and seen.print == ask.print then return 'seen' end
  local rules = book.rules()
  local hold = rules.hold
  if ask.hold then
    local most = div(rules.hold_max, 1000)
    if ask.hold < 1 or ask.hold > most then return nil, 'x invalid hold_seconds must be from 1 to ' .. fmt(most) end
    hold = ask.hold * 1000
  end
  for i = 1, #units, 2 do
    if not book.stock(units[i]) then return nil, 'x unknown_sku ' .. units[i] end
  end
  if seen then return nil, 'x key_reused' end
  if not is_open(rules) then return nil, 'x closed' end
  if not has_pass(ask, rules) then return nil, 'x pass_required' end
  local given, refusal = replaced(ask)
  if not given then return nil, refusal end
  refusal = reserve.shortages(units, given)
  if not refusal and ask.buyer ~= '-' then
    refusal = reserve.limits(ask.buyer, units, given) or grants(ask.buyer)
  end
  if refusal then return nil, refusal, true end
  return 'granted', hold
end

-- Writes a grant that was checked.
local function grant(ask, hold)
  if ask.replaces then book.end_hold(ask.replaces, 'R', 'released') end
  local lines, buyer, deadline = ask.units, ask.buyer, now + hold
  if buyer ~= '-' then
    local count = book.count(buyer)
    if not count then
      count = { grants = 0, all = 0, units = {} }
      book.counts[buyer] = count
    end
    count.grants = count.grants + 1
    book.dirty_counts[buyer] = true
  end
  for i = 1, #lines, 2 do
    book.hold(lines[i], lines[i + 1])
    book.add_count(buyer, lines[i], lines[i + 1])
  end
  book.touch(ask.id, {
    print = ask.print,
    buyer = buyer,
    created = now,
    extensions = 0,
    state = 'H',
    at = deadline,
    mark = '0',
    lines = lines,
    keys = NOTHING,
    orders = NOTHING,
  })
  shelf.due:add(deadline, ask.id)
  book.append(digits[now] .. ' held ' .. ask.id .. ' ' .. buyer .. ' ' .. digits[deadline] .. ' ' .. units_text(lines))
  -- What was granted was available.
  book.tell_scarce(lines)
end

local function refuse(refusal, may_wait)
  if may_wait and reserve.is_behind() then return tell('pending') end
  tell(refusal)
end

-- Takes units from available to held, all or nothing. Whether anything changed.
function reserve.reserve(ask)
  local came, more, may_wait = check(ask)
  if not came then
    refuse(more, may_wait)
    return false
  end
  if came == 'granted' then grant(ask, more) end
  inquiry.show(ask.id)
  return came == 'granted'
end

-- The cheap way for late comers: the grant of this key, or the refusal it deserves; nothing changes.
function reserve.lookup(ask)
  local came, more, may_wait = check(ask)
  if came == 'seen' then return inquiry.show(ask.id) end
  if came == 'granted' then return tell('pending') end
  refuse(more, may_wait)
end
